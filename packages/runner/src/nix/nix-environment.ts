import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { checkVariables, type Variables } from '../environment/environment-layers.ts'
import type { Proc } from '../environment/proc.ts'
import type { BackendName, InitOptions, RunnerEnvironment, StopOptions } from '../environment/runner-environment.ts'
import { SharedWork } from '../environment/shared-work.ts'
import type { NativeEnvironment } from '../native/native-environment.ts'
import { shellEnvironment } from './dev-env.ts'
import { type DevShell, openDevShell } from './dev-shell.ts'
import { runToolIn } from './run-tool-in.ts'

export interface NixEnvironmentOptions {
  /** Has the flake. Absolute. */
  readonly directory: string
  /** Where the built shell is kept. Absolute; made private when it is missing. */
  readonly cacheFolder: string
  /** Path of nix. */
  readonly nix: string
  readonly environment?: Variables | undefined
  /** The host's variables. Of them only the few that every program needs get into the shell. */
  readonly host: Readonly<Record<string, string | undefined>>
  /** Makes the environment of this machine that processes run in, with these variables below all others. */
  readonly native: (host: Readonly<Record<string, string | undefined>>) => NativeEnvironment
}

/**
 * Processes of this machine in the development shell of a flake: with its variables when it could be built, started by
 * `nix develop` when it could not.
 */
export class NixEnvironment implements RunnerEnvironment {
  readonly backend: BackendName = 'nix'
  readonly #options: NixEnvironmentOptions
  readonly #variables: Record<string, string> = {}
  #building: SharedWork | undefined
  #shell: { readonly shell: DevShell; readonly native: NativeEnvironment } | undefined
  #closed = false

  constructor(options: NixEnvironmentOptions) {
    checkVariables(options.environment ?? {})
    this.#options = options
    Object.assign(this.#variables, options.environment)
  }

  get description(): string {
    const { directory } = this.#options
    const shell = this.#shell?.shell
    if (shell === undefined) return `nix, ${directory}, not built yet`
    if (shell.kind === 'materialized') return `nix, ${directory}, shell from ${shell.from}`
    return `nix, ${directory}, every process by \`nix develop\`: ${shell.reason}`
  }

  async init(options: InitOptions = {}): Promise<void> {
    if (this.#closed) throw wasShutDown()
    if (this.#shell !== undefined) return
    const building = (this.#building ??= new SharedWork((signal, progress) => this.#build(signal, progress)))
    try {
      await building.join(options)
    } catch (error) {
      // The next call tries again.
      if (this.#building === building && this.#shell === undefined) this.#building = undefined
      throw CoveError.from(error)
    }
  }

  async newProcess(program: string, ...args: readonly string[]): Promise<Proc> {
    const { shell, native } = this.#needShell()
    if (shell.kind === 'materialized') return await native.newProcess(program, ...args)
    const [nix = '', ...prefix] = shell.prefix
    return await native.newProcess(nix, ...prefix, program, ...args)
  }

  async withBinary(program: string): Promise<void> {
    await this.#needShell().native.withBinary(program)
  }

  withEnvironment(variables: Variables): void {
    checkVariables(variables)
    Object.assign(this.#variables, variables)
    this.#shell?.native.withEnvironment(variables)
  }

  async stop(options?: StopOptions): Promise<void> {
    await this.#shell?.native.stop(options)
  }

  async shutdown(): Promise<void> {
    this.#closed = true
    await this.#building?.cancel()
    await this.#shell?.native.shutdown()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  async #build(signal: AbortSignal, progress: (step: string) => void): Promise<void> {
    const { directory, cacheFolder, nix, host } = this.#options
    await using tools = this.#options.native(host)
    const shell = await openDevShell({
      directory,
      cacheFolder: join(cacheFolder, cacheName(directory)),
      nix,
      run: runToolIn(tools),
      random: systemRandom,
      signal,
      progress,
    })
    // What nix needs to find its own store is the host's, where processes are started by it.
    const native = this.#options.native(shell.kind === 'materialized' ? shellEnvironment(shell.env, host) : host)
    native.withEnvironment(this.#variables)
    this.#shell = { shell, native }
  }

  #needShell(): { readonly shell: DevShell; readonly native: NativeEnvironment } {
    if (this.#closed) throw wasShutDown()
    if (this.#shell === undefined) throw new CoveError('wrong-state', 'the shell has not been built: call init first')
    return this.#shell
  }
}

/** A folder of its own for every flake. */
function cacheName(directory: string): string {
  return createHash('sha256').update(directory).digest('hex').slice(0, 16)
}

function wasShutDown(): CoveError {
  return new CoveError('wrong-state', 'the environment was shut down')
}
