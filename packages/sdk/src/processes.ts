import { ProcessService } from '@cove/api'
import { CoveError, newProcessId, type AttachFrom, type TerminalSize } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import { commandInit } from './command.ts'
import { processInfo } from './convert/process.ts'
import { killProcess, resizeTerminal, signalProcess, writeStdin } from './process-calls.ts'
import type { ProcessInfo } from './process-info.ts'
import { Process, type ProcessEnd } from './process.ts'
import { readOutput, type OutputPart, type ReadOutputOptions } from './read-output.ts'
import type { SignalName } from './signals.ts'
import type { StartOptions } from './start-options.ts'
import { webRandom } from './web-clock.ts'
import { callSignal, type Rpc } from './wire/rpc.ts'

/** Where to begin with a process that runs already. */
export interface AttachOptions {
  /** An output offset (0: everything that is still held), or `now`. Default 0. */
  readonly from?: AttachFrom
  /** When not the sandbox's current one, the call is refused with `stale-incarnation`. */
  readonly incarnation?: number
  /** Ends the connection when it aborts; the process goes on. */
  readonly signal?: AbortSignal
}

/**
 * The processes of one sandbox by their ids, from whichever client they were started. One that has ended is remembered
 * for ten minutes; of one that nobody is attached to the newest 256 KiB of output are kept.
 */
export class Processes {
  readonly #rpc: Rpc
  readonly #sandbox: string

  /** @internal */
  constructor(rpc: Rpc, sandbox: string) {
    this.#rpc = rpc
    this.#sandbox = sandbox
  }

  /** Those that run, and those that ended in the last ten minutes. */
  async list(options: CallOptions = {}): Promise<ProcessInfo[]> {
    const answer = await this.#rpc.unary(ProcessService.method.listProcesses, { sandbox: this.#sandbox }, options)
    return answer.processes.map(processInfo)
  }

  /** `process-not-found` when there is none of that id any more. */
  async get(id: string, options: CallOptions = {}): Promise<ProcessInfo> {
    const found = (await this.list(options)).find((process) => process.id === id)
    if (found === undefined) throw new CoveError('process-not-found', `there is no process ${id}`, { process: id })
    return found
  }

  /** Starts a process in the background: it runs, and no connection to it is kept. */
  async start(argv: readonly string[], options: StartOptions = {}): Promise<ProcessInfo> {
    const process = await this.open(argv, options)
    process.detach()
    return process.info
  }

  /** Connects to the output of a process again. Leaving the handle, also by `await using`, leaves the process alone. */
  attach(id: string, options: AttachOptions = {}): Promise<Process> {
    const { from = 0, incarnation = 0, signal } = options
    return Process.open(this.#rpc, { sandbox: this.#sandbox, id, incarnation, from }, signal)
  }

  /** What a process has written since an offset, without staying connected. */
  read(id: string, options: ReadOutputOptions = {}): Promise<OutputPart> {
    return readOutput(this.#rpc, { sandbox: this.#sandbox, id }, options)
  }

  /** Waits for the end of a process; its output is for others. */
  async wait(id: string, options: CallOptions = {}): Promise<ProcessEnd> {
    const signal = callSignal(options)
    const call = signal === undefined ? {} : { signal }
    const process = await this.attach(id, { from: 'now', ...call })
    try {
      return await process.wait(call)
    } finally {
      process.detach()
    }
  }

  /**
   * Sends input; resolves when the process's pipe has taken it. The process must have been started with `stdin`. After
   * `connection-lost` it is not known how much of the last MiB has arrived.
   */
  async write(id: string, data: string | Uint8Array, options: CallOptions = {}): Promise<void> {
    await writeStdin(this.#rpc, { sandbox: this.#sandbox, id }, data, false, options)
  }

  /** Ends its input, as the end of a file does. */
  async closeStdin(id: string, options: CallOptions = {}): Promise<void> {
    await writeStdin(this.#rpc, { sandbox: this.#sandbox, id }, '', true, options)
  }

  /** To the process's whole group. `wrong-state` when it has ended, `process-not-found` when it is forgotten. */
  async signal(id: string, signal: SignalName | number, options: CallOptions = {}): Promise<void> {
    await signalProcess(this.#rpc, { sandbox: this.#sandbox, id }, signal, options)
  }

  /** Ends the whole group at once. A process that has ended already is no error. */
  async kill(id: string, options: CallOptions = {}): Promise<void> {
    await killProcess(this.#rpc, { sandbox: this.#sandbox, id }, options)
  }

  /** Changes the size of its terminal. */
  async resize(id: string, size: TerminalSize, options: CallOptions = {}): Promise<void> {
    await resizeTerminal(this.#rpc, { sandbox: this.#sandbox, id }, size, options)
  }

  /** @internal */
  open(argv: readonly string[], options: StartOptions): Promise<Process> {
    const { terminal, stdin = false, id = newProcessId(webRandom), incarnation = 0, ifExists = 'fail' } = options
    const input = terminal === undefined ? { stdin } : { stdin: true, terminal }
    const command = commandInit(argv, options, input)
    const takeExisting = ifExists === 'attach'
    const source = { sandbox: this.#sandbox, id, incarnation, command, from: 0, takeExisting }
    return Process.open(this.#rpc, source, options.signal)
  }
}
