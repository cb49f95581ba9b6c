import { posix } from 'node:path'
import { CoveError, randomId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import type { Container, DockerEngine } from '@cove/docker-engine'
import {
  checkVariables,
  checkWords,
  DEFAULT_PATH,
  mergeEnvironment,
  type Variables,
} from '../environment/environment-layers.ts'
import type { LaunchedProc, ProcLauncher, ProcPlan } from '../environment/launched-proc.ts'
import type { Line } from '../environment/line.ts'
import { ProcSet } from '../environment/proc-set.ts'
import type { Proc } from '../environment/proc.ts'
import type { BackendName, InitOptions, RunnerEnvironment, StopOptions } from '../environment/runner-environment.ts'
import { StagedProc } from '../environment/staged-proc.ts'
import { bringUpContainer, type BroughtUp } from './bring-up-container.ts'
import { readContainerLogs } from './container-logs.ts'
import { containerName } from './container-plan.ts'
import { belongingTo, type ContainerProcesses } from './container-processes.ts'
import { ContainerWatch } from './container-watch.ts'
import type { DockerEnvironmentOptions } from './docker-options.ts'
import { formatMark, MARK_VARIABLE } from './exec-mark.ts'
import { ExecProcess } from './exec-process.ts'
import { findInContainer } from './find-in-container.ts'
import { LocalProcesses } from './local-processes.ts'
import { openContainerProcesses } from './open-container-processes.ts'
import { SharedWork } from '../environment/shared-work.ts'
import { untilExecRuns } from './start-exec.ts'

const GRACE_MS = 5000

/** `present`: it is there and does not run. */
export type ContainerPresence = 'present' | 'running' | 'deleted'

interface Ready extends BroughtUp {
  readonly watch: ContainerWatch
  readonly processes: ContainerProcesses
}

/** Processes in one container of a Docker Engine. */
export class DockerEnvironment implements RunnerEnvironment, ProcLauncher {
  readonly backend: BackendName = 'docker'
  readonly container: string
  readonly #options: DockerEnvironmentOptions
  readonly #engine: DockerEngine
  readonly #closeEngine: () => void
  readonly #variables: Record<string, string> = {}
  readonly #procs = new ProcSet()
  #getting: SharedWork | undefined
  #ready: Ready | undefined
  #how = 'not started'
  /** Its id: another one may have taken its name by now, which is not ours to end. */
  #made: string | undefined
  #stopping: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(options: DockerEnvironmentOptions, engine: DockerEngine, closeEngine: () => void) {
    this.container = containerName(options.name)
    this.#options = options
    this.#engine = engine
    this.#closeEngine = closeEngine
  }

  get description(): string {
    return `docker ${this.#engine.version}, container ${this.container}, ${this.#how}`
  }

  async init(options: InitOptions = {}): Promise<void> {
    // Without a pause where nothing is to be waited for: a `stop` right behind this call must find it under way.
    if (this.#stopping !== undefined) await this.#untilStopped()
    if (this.#closing !== undefined) throw wasShutDown()
    if (this.#ready !== undefined) await this.#leaveUnlessRunning(this.#ready, options.signal)
    const getting = (this.#getting ??= new SharedWork((signal, progress) => this.#getReady(signal, progress)))
    try {
      await getting.join(options)
    } catch (error) {
      // The next call tries again.
      if (this.#getting === getting && this.#ready === undefined) this.#getting = undefined
      throw CoveError.from(error)
    }
  }

  newProcess(program: string, ...args: readonly string[]): Promise<Proc> {
    try {
      if (this.#closing !== undefined) throw wasShutDown()
      checkWords([program, ...args])
      return Promise.resolve(new StagedProc(this, program, args))
    } catch (error) {
      return Promise.reject(CoveError.from(error))
    }
  }

  async withBinary(program: string): Promise<void> {
    checkWords([program])
    const { container } = this.#needReady()
    const path = this.#environment(container, {}, [])['PATH'] ?? DEFAULT_PATH
    const directory = directoryOf(container)
    if ((await findInContainer(this.#engine, container.id, program, { path, directory })) !== undefined) return
    throw new CoveError('command-not-found', `the container ${this.container} has no program ${program}`, { program })
  }

  withEnvironment(variables: Variables): void {
    checkVariables(variables)
    Object.assign(this.#variables, variables)
  }

  async stop(options: StopOptions = {}): Promise<void> {
    if (this.#closing !== undefined) return await this.#closing
    this.#stopping ??= this.#stop(options).finally(() => {
      this.#stopping = undefined
    })
    await this.#stopping
  }

  async shutdown(): Promise<void> {
    this.#closing ??= this.#shutDown()
    await this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  async state(signal?: AbortSignal): Promise<ContainerPresence> {
    return await this.#presence(this.container, signal)
  }

  /** Its container may have ended behind its back, or another one have taken its name. */
  async #leaveUnlessRunning(ready: Ready, signal: AbortSignal | undefined): Promise<void> {
    const presence = await this.#presence(ready.container.id, signal)
    if (presence !== 'running' && this.#ready === ready) this.#leave()
    // Both may have come while it was asked.
    await this.#untilStopped()
    if (this.#closing !== undefined) throw wasShutDown()
  }

  async #untilStopped(): Promise<void> {
    while (this.#stopping !== undefined) await this.#stopping.catch(() => {})
  }

  async #presence(container: string, signal?: AbortSignal): Promise<ContainerPresence> {
    try {
      const { state } = await this.#engine.inspectContainer(container, signal)
      if (state === 'removing') return 'deleted'
      return state === 'running' || state === 'paused' ? 'running' : 'present'
    } catch (error) {
      if (error instanceof CoveError && error.code === 'container-not-found') return 'deleted'
      throw error
    }
  }

  /** Where its published ports answer. Empty unless it runs. */
  async ports(signal?: AbortSignal): Promise<Container['ports']> {
    return (await this.#engine.inspectContainer(this.container, signal)).ports
  }

  /** What its own first process says; not that of processes started in it. With `follow` until it ends. */
  logs(options: { readonly follow?: boolean; readonly tail?: number } = {}, signal?: AbortSignal): AsyncIterable<Line> {
    return readContainerLogs(this.#engine, this.container, options, signal)
  }

  track(proc: Pick<Proc, 'stop'>): () => void {
    return this.#procs.add(proc)
  }

  async launch(plan: ProcPlan, signal: AbortSignal): Promise<LaunchedProc> {
    const { container, owner, watch, processes } = this.#needReady()
    const mark = formatMark({ id: randomId(systemRandom), owner })
    const spec = {
      argv: [plan.program, ...plan.args],
      env: { ...this.#environment(container, plan.variables, plan.appended), [MARK_VARIABLE]: mark },
      workingDirectory: posix.resolve(directoryOf(container), plan.directory ?? '.'),
      stdin: plan.stdin,
    }
    const engine = this.#engine
    const { memoryDeaths } = watch
    const id = await engine.createExec(container.id, spec, signal)
    // From here on it is started whatever the signal says, and ended by the caller: half a start could not be undone.
    const attached = await engine.startExec(id, spec)
    try {
      const { pid } = await untilExecRuns(engine, id, attached, spec, signal)
      const hostPid = processes instanceof LocalProcesses ? pid : undefined
      const { stdin, waitOn } = plan
      const exec = { engine, container: container.id, watch, processes, id, attached, mark, hostPid, stdin, waitOn }
      return new ExecProcess({ ...exec, memoryDeaths })
    } catch (error) {
      attached[Symbol.dispose]()
      await endMarked(processes, mark)
      throw error
    }
  }

  #environment(container: Container, process: Variables, appended: ProcPlan['appended']): Record<string, string> {
    const environment = this.#variables
    return mergeEnvironment({ base: container.env, environment, process, appended, binaryFolders: [] })
  }

  async #getReady(signal: AbortSignal, progress: (step: string) => void): Promise<void> {
    const up = await bringUpContainer(this.#engine, this.#options, signal, progress)
    const { id } = up.container
    this.#made = id
    this.#how = up.how
    try {
      const processes = await openContainerProcesses(this.#engine, id)
      this.#ready = { ...up, processes, watch: new ContainerWatch(this.#engine, id) }
    } catch (error) {
      up.holding?.[Symbol.dispose]()
      throw error
    }
  }

  #needReady(): Ready {
    if (this.#closing !== undefined) throw wasShutDown()
    if (this.#ready !== undefined) return this.#ready
    throw new CoveError(
      'wrong-state',
      `the container ${this.container} is not started`,
      {},
      { fix: 'Call `init` first, and again after `stop`.' },
    )
  }

  async #stop({ graceMs = GRACE_MS, signal }: StopOptions): Promise<void> {
    await this.#getting?.cancel()
    await this.#procs.stop({ graceMs, ...(signal === undefined ? {} : { signal }) })
    this.#leave()
    if (this.#made === undefined) return
    await unlessGone(this.#engine.stopContainer(this.#made, graceMs / 1000))
    this.#how = 'stopped'
  }

  async #shutDown(): Promise<void> {
    try {
      await this.#stopping?.catch(() => {})
      await this.#getting?.cancel()
      await this.#procs.stop().catch(() => {})
      this.#leave()
      if (this.#made !== undefined) await this.#engine.removeContainer(this.#made)
      this.#how = 'removed'
    } finally {
      this.#closeEngine()
    }
  }

  #leave(): void {
    this.#ready?.watch[Symbol.dispose]()
    this.#ready?.holding?.[Symbol.dispose]()
    this.#ready = undefined
    this.#getting = undefined
  }
}

/** What could not be followed while it started, should it have started nevertheless. */
async function endMarked(processes: ContainerProcesses, mark: string): Promise<void> {
  try {
    const found = belongingTo(await processes.list(), mark)
    await processes.signal(
      found.map(({ pid }) => pid),
      'KILL',
    )
  } catch {
    // Then it has not started either, or the engine cannot be asked: the sweep ends it with this program.
  }
}

const directoryOf = ({ workingDirectory }: Container): string => (workingDirectory === '' ? '/' : workingDirectory)

async function unlessGone(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!(error instanceof CoveError && error.code === 'container-not-found')) throw error
  }
}

function wasShutDown(): CoveError {
  return new CoveError('wrong-state', 'the environment was shut down')
}
