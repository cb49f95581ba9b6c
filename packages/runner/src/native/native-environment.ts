import { stat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { CoveError, randomId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { checkVariables, checkWords, mergeEnvironment, type Variables } from '../environment/environment-layers.ts'
import type { LaunchedProc, ProcLauncher, ProcPlan } from '../environment/launched-proc.ts'
import { ProcSet } from '../environment/proc-set.ts'
import type { Proc } from '../environment/proc.ts'
import type { BackendName, RunnerEnvironment, StopOptions } from '../environment/runner-environment.ts'
import { StagedProc } from '../environment/staged-proc.ts'
import { findProgram } from '../host/requirements.ts'
import type { HostProcessSpec } from '../host-process-spec.ts'
import type { Launcher } from '../launcher.ts'
import { NativeProcess } from './native-process.ts'
import { RECORD_VARIABLE } from './record-variable.ts'

export interface NativeEnvironmentOptions {
  readonly launcher: Launcher
  /** Processes end with this one. */
  readonly owner: HostProcessSpec['owner']
  /** Where processes run that say nothing else, and what relative paths are relative to. Absolute. */
  readonly directory: string
  /** Goes before the host's. */
  readonly environment?: Variables | undefined
  /** Default: this program's own. */
  readonly host?: Readonly<Record<string, string | undefined>> | undefined
}

/** Processes of this machine, each in a session of its own below the launcher. */
export class NativeEnvironment implements RunnerEnvironment, ProcLauncher {
  readonly backend: BackendName = 'native'
  readonly #options: NativeEnvironmentOptions
  readonly #variables: Record<string, string> = {}
  readonly #binaryFolders: string[] = []
  readonly #procs = new ProcSet()
  #closed = false

  constructor(options: NativeEnvironmentOptions) {
    checkVariables(options.environment ?? {})
    this.#options = options
    Object.assign(this.#variables, options.environment)
  }

  get description(): string {
    return `native, ${this.#options.directory}`
  }

  init(): Promise<void> {
    return this.#closed ? Promise.reject(wasShutDown()) : Promise.resolve()
  }

  async newProcess(program: string, ...args: readonly string[]): Promise<Proc> {
    if (this.#closed) throw wasShutDown()
    checkWords([program, ...args])
    return new StagedProc(this, await this.#find(program), args)
  }

  async withBinary(program: string): Promise<void> {
    const folder = dirname(await this.#find(program))
    if (!this.#binaryFolders.includes(folder)) this.#binaryFolders.push(folder)
  }

  withEnvironment(variables: Variables): void {
    checkVariables(variables)
    Object.assign(this.#variables, variables)
  }

  async stop(options?: StopOptions): Promise<void> {
    await this.#procs.stop(options)
  }

  async shutdown(): Promise<void> {
    this.#closed = true
    await this.#procs.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  track(proc: Pick<Proc, 'stop'>): () => void {
    return this.#procs.add(proc)
  }

  async launch(plan: ProcPlan, signal: AbortSignal): Promise<LaunchedProc> {
    if (this.#closed) throw wasShutDown()
    const { launcher, owner, directory } = this.#options
    const cwd = resolve(directory, plan.directory ?? '.')
    await needDirectory(cwd)
    // Told to nobody else, so that what carries it belongs to this process.
    const id = `run-${randomId(systemRandom)}`
    const env = this.#merged({ process: plan.variables, appended: plan.appended })
    const host = await launcher.start(
      {
        id,
        owner,
        note: basename(plan.program),
        argv: [plan.program, ...plan.args],
        env: { ...env, [RECORD_VARIABLE]: id },
        // What the launcher takes when nothing is said; it is none of the paths that can be named.
        ...(cwd === '/' ? {} : { cwd }),
        stdio: { piped: plan.stdin ? 'all' : 'output' },
      },
      signal,
    )
    try {
      return new NativeProcess(launcher, host, await host.openPipes(), plan.waitOn)
    } catch (error) {
      await launcher.destroy(id)
      throw error
    }
  }

  #merged(more: Pick<Parameters<typeof mergeEnvironment>[0], 'process' | 'appended'>): Record<string, string> {
    return mergeEnvironment({
      base: this.#options.host ?? process.env,
      environment: this.#variables,
      binaryFolders: this.#binaryFolders,
      ...more,
    })
  }

  async #find(program: string): Promise<string> {
    const path = program.includes('/') ? resolve(this.#options.directory, program) : program
    const found = await findProgram(path, this.#merged({ process: {}, appended: [] })['PATH'])
    if (found === undefined) throw new CoveError('command-not-found', `there is no program ${program}`, { program })
    return found
  }
}

async function needDirectory(directory: string): Promise<void> {
  const facts = await stat(directory).catch(() => undefined)
  if (facts?.isDirectory() === true) return
  throw new CoveError('path-invalid', `there is no directory ${directory}`, { directory })
}

function wasShutDown(): CoveError {
  return new CoveError('wrong-state', 'the environment was shut down')
}
