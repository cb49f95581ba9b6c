import { ProcessService } from '@cove/api'
import type { AttachFrom } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import { processInfo } from './convert/process.ts'
import type { ProcessInfo } from './process-info.ts'
import { Process } from './process.ts'
import { signalNumber, type SignalName } from './signals.ts'
import type { Rpc } from './wire/rpc.ts'

export interface AttachOptions {
  /** An output offset (0: everything that is still held), or `now`. Default 0. */
  readonly from?: AttachFrom
  readonly incarnation?: number
  readonly signal?: AbortSignal
}

/** The processes of one sandbox, those that ended in the last ten minutes included. */
export class Processes {
  readonly #rpc: Rpc
  readonly #sandbox: string

  /** @internal */
  constructor(rpc: Rpc, sandbox: string) {
    this.#rpc = rpc
    this.#sandbox = sandbox
  }

  async list(options: CallOptions = {}): Promise<ProcessInfo[]> {
    const answer = await this.#rpc.unary(ProcessService.method.listProcesses, { sandbox: this.#sandbox }, options)
    return answer.processes.map(processInfo)
  }

  /** To the process's whole group. */
  async signal(id: string, signal: SignalName | number, options: CallOptions = {}): Promise<void> {
    const request = { sandbox: this.#sandbox, processId: id, signal: signalNumber(signal) }
    await this.#rpc.unary(ProcessService.method.signalProcess, request, options)
  }

  /** Connects to the output of a process again. Leaving the handle, also by `await using`, leaves the process alone. */
  attach(id: string, options: AttachOptions = {}): Promise<Process> {
    const { from = 0, incarnation = 0, signal } = options
    return Process.open(this.#rpc, { sandbox: this.#sandbox, id, incarnation, from }, signal)
  }
}
