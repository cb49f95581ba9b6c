import { SandboxService, type Sandbox as WireSandbox } from '@cove/api'
import { CoveError, newProcessId } from '@cove/domain'
import { createToken, type CreateTokenOptions, type SandboxToken } from './access.ts'
import type { CallOptions } from './call-options.ts'
import { codeArgv, isRuntime, type Runtime } from './command.ts'
import { sandboxInfo } from './convert/sandbox.ts'
import { Files } from './files.ts'
import { Ports } from './ports.ts'
import type { Process } from './process.ts'
import { Processes } from './processes.ts'
import { runCommand, type RunOptions } from './run-command.ts'
import type { RunResult } from './run-result.ts'
import type { SandboxInfo } from './sandbox-info.ts'
import {
  deleteSandbox,
  pauseSandbox,
  resumeSandbox,
  sandboxStats,
  stopSandbox,
  updateLimits,
  updateTimeouts,
} from './sandbox-calls.ts'
import type { StartOptions } from './start-options.ts'
import type { LimitOptions, PauseOptions, SandboxStats, StopOptions, TimeoutUpdate } from './sandbox-options.ts'
import { webRandom } from './web-clock.ts'
import type { Rpc } from './wire/rpc.ts'

/** A sandbox by its id or name, of which nothing else is known yet. */
export class SandboxRef {
  protected readonly rpc: Rpc
  /** Id or name, as it was given. */
  readonly id: string
  readonly files: Files
  readonly processes: Processes
  readonly ports: Ports

  /** @internal */
  constructor(rpc: Rpc, id: string) {
    this.rpc = rpc
    this.id = id
    this.files = new Files(rpc, id)
    this.processes = new Processes(rpc, id)
    this.ports = new Ports(rpc, id)
  }

  /**
   * Runs a program with its arguments, or code in one of the runtimes `python`, `node` and `shell`, and waits for its
   * end. A command that fails is a result and not an error.
   */
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>
  run(runtime: Runtime, code: string, options?: RunOptions): Promise<RunResult>
  run(command: readonly string[] | Runtime, second?: string | RunOptions, third?: RunOptions): Promise<RunResult> {
    const { argv, options } = readCommand(command, second, third)
    return runCommand(this.rpc, this.id, newProcessId(webRandom), argv, options)
  }

  /**
   * Starts a program and comes back as soon as it runs, connected to its output; `processes.start` does so without a
   * connection. `await using` ends the program at the end of the block.
   */
  start(argv: readonly string[], options: StartOptions = {}): Promise<Process> {
    return this.processes.open(argv, options)
  }

  /** A token that opens this sandbox and nothing else, for example for an agent that works in it. */
  createToken(options: CreateTokenOptions = {}): Promise<SandboxToken> {
    return createToken(this.rpc, this.id, options)
  }
}

/**
 * One sandbox. `await using` deletes it at the end of the block when this handle came from `create`; a handle from
 * `get` or `start` leaves it alone.
 */
export class Sandbox extends SandboxRef implements AsyncDisposable {
  #owned: boolean
  #info: SandboxInfo

  /** @internal */
  constructor(rpc: Rpc, wire: WireSandbox | undefined, owned: boolean) {
    if (wire === undefined) throw new CoveError('internal', 'the server answered without a sandbox')
    super(rpc, wire.id)
    this.#owned = owned
    this.#info = sandboxInfo(wire)
  }

  /** As it was at the last call of this handle that answered with it; `refresh` asks anew. */
  get info(): SandboxInfo {
    return this.#info
  }

  /** As it was when `info` was last answered. */
  get name(): string | undefined {
    return this.#info.name
  }

  /** Asks for the sandbox as it is now. `sandbox-gone` or `sandbox-not-found` when nothing is kept of it any more. */
  async refresh(options: CallOptions = {}): Promise<SandboxInfo> {
    const answer = await this.rpc.unary(SandboxService.method.getSandbox, { id: this.id }, options)
    if (answer.sandbox !== undefined) this.#info = sandboxInfo(answer.sandbox)
    return this.#info
  }

  /** Ends everything that runs inside and keeps the disk; `cove.sandboxes.start` makes it run again. */
  async stop(options: StopOptions = {}): Promise<SandboxInfo> {
    this.#info = await stopSandbox(this.rpc, this.id, options)
    return this.#info
  }

  /** Freezes it. Its idle clock stands still, and its lifetime too unless it is to go on. */
  async pause(options: PauseOptions = {}): Promise<SandboxInfo> {
    this.#info = await pauseSandbox(this.rpc, this.id, options)
    return this.#info
  }

  /** Lets it go on where it was. */
  async resume(options: CallOptions = {}): Promise<SandboxInfo> {
    this.#info = await resumeSandbox(this.rpc, this.id, options)
    return this.#info
  }

  /** Changes limits while it runs; what is not named stays. */
  async updateLimits(limits: LimitOptions, options: CallOptions = {}): Promise<SandboxInfo> {
    this.#info = await updateLimits(this.rpc, this.id, limits, options)
    return this.#info
  }

  /** What it uses now. What cannot be measured is absent. */
  stats(options: CallOptions = {}): Promise<SandboxStats> {
    return sandboxStats(this.rpc, this.id, options)
  }

  /** Sets the idle timeout, or the lifetime counted from now, or both. */
  async updateTimeouts(timeouts: TimeoutUpdate, options: CallOptions = {}): Promise<SandboxInfo> {
    this.#info = await updateTimeouts(this.rpc, this.id, timeouts, options)
    return this.#info
  }

  /** Works from every state, and twice. */
  async delete(options: CallOptions = {}): Promise<void> {
    await deleteSandbox(this.rpc, this.id, options)
    this.#owned = false
  }

  /** Gives up the duty to delete it: `await using` then leaves it alone. */
  keep(): this {
    this.#owned = false
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#owned) return
    try {
      await this.delete()
    } catch (thrown) {
      const gone =
        thrown instanceof CoveError && (thrown.code === 'sandbox-not-found' || thrown.code === 'sandbox-gone')
      if (!gone) throw thrown
    }
  }
}

function readCommand(
  command: readonly string[] | Runtime,
  second: string | RunOptions | undefined,
  third: RunOptions | undefined,
): { argv: readonly string[]; options: RunOptions } {
  if (typeof command !== 'string') return { argv: command, options: typeof second === 'object' ? second : {} }
  if (isRuntime(command) && typeof second === 'string') return { argv: codeArgv(command, second), options: third ?? {} }
  throw new CoveError(
    'invalid-argument',
    `${JSON.stringify(command)} is not a runtime with code`,
    { field: 'command' },
    {
      fix: "Call run(['program', 'argument']), or run('python', code) with python, node or shell.",
    },
  )
}
