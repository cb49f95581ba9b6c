import type { Duplex } from 'node:stream'
import type { Container, DockerEngine } from '@cove/docker-engine'
import {
  CoveError,
  LIMIT_NAMES,
  type CreateContext,
  type DiskContent,
  type DiskReader,
  type Exit,
  type LimitReport,
  type Limits,
  type Machine,
  type MachineId,
  type MachineStats,
  type Pausable,
  type Renamable,
  type Resizable,
} from '@cove/domain'
import { BRIDGE } from './container-plan.ts'
import type { ContainerWatch, Ended } from './container-watch.ts'
import { execStream } from './exec-stream.ts'
import { exitOf } from './exit-of.ts'
import { engineLimits } from './limits.ts'
import type { Names } from './names.ts'
import { readDisk } from './read-disk.ts'
import { renameContainer, type HostNames } from './rename-container.ts'

export interface DockerMachineParts {
  readonly id: MachineId
  readonly container: Pick<Container, 'id' | 'startedAt' | 'state' | 'image'>
  readonly limits: readonly LimitReport[]
  readonly engine: DockerEngine
  readonly watch: ContainerWatch
  readonly names: Names
  /** What would come of these limits; fails for what cannot be enforced. */
  readonly judge: (limits: Limits) => readonly LimitReport[]
  readonly hostNames: HostNames | undefined
}

/** A first process does not hear a signal before it listens for it. */
const ASK_AGAIN_MS = [50, 100, 200, Number.POSITIVE_INFINITY]
const KILL_SIGNAL = '9'
/** An engine that stands still must not hold up the end of a machine for ever. */
const ANSWER_MS = 60_000

/** A machine that is a container of a Docker Engine. */
export class DockerMachine implements Machine, Pausable, Resizable, Renamable, DiskReader {
  readonly id: MachineId
  readonly exited: Promise<Exit>
  readonly #parts: DockerMachineParts
  #limits: readonly LimitReport[]
  #exit: Exit | undefined
  #isPaused: boolean
  #readers = 0
  #freezing: Promise<unknown> = Promise.resolve()

  constructor(parts: DockerMachineParts) {
    this.id = parts.id
    this.#parts = parts
    this.#limits = parts.limits
    this.#isPaused = parts.container.state === 'paused'
    this.exited = parts.watch.follow(parts.container).then(async (ended) => {
      this.#exit = await endOf(parts.engine, parts.container, ended)
      return this.#exit
    })
  }

  get limits(): readonly LimitReport[] {
    return this.#limits
  }

  async connectGuest(signal: AbortSignal): Promise<Duplex> {
    if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
    if (this.#exit !== undefined) throw this.#unreachable()
    const { engine, container } = this.#parts
    const spec = { argv: BRIDGE, stdin: true, user: '0:0', workingDirectory: '/' }
    try {
      const exec = await engine.createExec(container.id, spec, signal)
      return execStream(await engine.startExec(exec, spec, signal))
    } catch (error) {
      if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
      throw this.#unreachable(error)
    }
  }

  async stop(graceMs: number): Promise<Exit> {
    const end = performance.now() + graceMs
    await this.#wake()
    for (const wait of ASK_AGAIN_MS) {
      const left = end - performance.now()
      if (left <= 0 || this.#exit !== undefined) break
      await this.#signal('SIGTERM')
      if ((await Promise.race([this.exited, pause(Math.min(wait, left))])) !== undefined) break
    }
    if (this.#exit === undefined) await this.#signal('SIGKILL')
    await this.#parts.watch.look(this.#parts.container.id)
    return this.exited
  }

  async stats(): Promise<MachineStats> {
    if (this.#exit !== undefined) return {}
    try {
      return await this.#parts.engine.containerStats(this.#parts.container.id)
    } catch (error) {
      const { code } = CoveError.from(error)
      if (code === 'container-not-found' || code === 'wrong-state') return {}
      throw error
    }
  }

  async rename(hostname: string): Promise<void> {
    const { engine, container, hostNames } = this.#parts
    await renameContainer(engine, container.id, hostname, hostNames)
  }

  async pause(): Promise<void> {
    this.#isPaused = true
    await this.#freeze()
  }

  async resume(): Promise<void> {
    this.#isPaused = false
    await this.#freeze()
  }

  async resize(limits: Limits): Promise<readonly LimitReport[]> {
    const changed = this.#parts.judge(limits)
    if (this.#exit !== undefined) throw this.#ended()
    await this.#parts.engine.changeContainer(this.#parts.container.id, engineLimits(changed))
    const names = new Set(changed.map(({ name }) => name))
    const all = [...this.#limits.filter(({ name }) => !names.has(name)), ...changed]
    this.#limits = LIMIT_NAMES.flatMap((name) => all.filter((report) => report.name === name))
    return this.#limits
  }

  async readDisk(context: CreateContext): Promise<DiskContent & AsyncDisposable> {
    if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
    if (this.#exit !== undefined) throw this.#ended()
    const { engine, container, names } = this.#parts
    const tag = names.readingTag(this.id)
    this.#readers += 1
    let isReading = true
    const release = async (): Promise<void> => {
      if (!isReading) return
      isReading = false
      this.#readers -= 1
      // One that has ended needs nothing any more.
      if (this.#exit === undefined) await this.#freeze().catch(unlessEnded)
      if (this.#readers === 0) await engine.removeImage(`${names.saved}:${tag}`).catch(() => undefined)
    }
    try {
      // For the next daemon, should this one be killed now: nobody else would wake the machine.
      if (!this.#isPaused) await engine.tagImage(container.image, names.saved, tag, context.signal)
      await this.#freeze()
      return await readDisk(this.#parts, context, release)
    } catch (error) {
      await release()
      throw error
    }
  }

  /** Still as long as somebody has paused it or reads its disk; changes come one after the other. */
  #freeze(): Promise<void> {
    const { engine, container } = this.#parts
    const change = this.#freezing.then(() =>
      this.#isPaused || this.#readers > 0
        ? this.#unlessIts('paused', engine.pauseContainer(container.id))
        : this.#unlessIts('running', engine.resumeContainer(container.id)),
    )
    this.#freezing = change.catch(() => undefined)
    return change
  }

  async #wake(): Promise<void> {
    const { engine, container } = this.#parts
    await engine.resumeContainer(container.id, AbortSignal.timeout(ANSWER_MS)).catch(() => undefined)
  }

  /** One that has ended hears nothing, which is no error. */
  async #signal(name: string): Promise<void> {
    const { engine, container } = this.#parts
    await engine.signalContainer(container.id, name, AbortSignal.timeout(ANSWER_MS)).catch((error: unknown) => {
      const { code } = CoveError.from(error)
      if (code !== 'wrong-state' && code !== 'container-not-found') throw error
    })
  }

  async #unlessIts(state: Container['state'], change: Promise<void>): Promise<void> {
    try {
      await change
    } catch (error) {
      if (CoveError.from(error).code === 'container-not-found') throw this.#unreachable(error)
      const { engine, container } = this.#parts
      if ((await engine.inspectContainer(container.id)).state !== state) throw error
    }
  }

  #ended(): CoveError {
    return new CoveError('wrong-state', `machine ${this.id} has ended`)
  }

  #unreachable(cause?: unknown): CoveError {
    const ended = this.#exit !== undefined
    const why = ended ? 'has ended' : `cannot be reached: ${CoveError.from(cause).message}`
    return new CoveError('guest-unreachable', `machine ${this.id} ${why}`, {}, { cause })
  }
}

function unlessEnded(error: unknown): void {
  const { code } = CoveError.from(error)
  if (code !== 'guest-unreachable' && code !== 'wrong-state') throw error
}

function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms, undefined).unref()
  })
}

/** How a container's run ended, from what the engine tells of it. */
export async function endOf(
  engine: DockerEngine,
  run: Pick<Container, 'id' | 'startedAt'>,
  { container, exitCode }: Ended,
): Promise<Exit> {
  const outOfMemory = container?.outOfMemory ?? false
  const killed = outOfMemory && (await wasKilled(engine, run))
  return exitOf({ exitCode, outOfMemory, killed })
}

/** Whether somebody has told the engine to kill it, which looks the same as the kernel's kill for memory. */
async function wasKilled(engine: DockerEngine, { id, startedAt }: Pick<Container, 'id' | 'startedAt'>) {
  const now = Math.floor(Date.now() / 1000)
  const since = Math.floor(Date.parse(startedAt) / 1000)
  const options = { actions: ['kill'], sinceSeconds: Number.isNaN(since) ? 0 : since, untilSeconds: now + 1 }
  try {
    for await (const { attributes } of engine.containerEvents(id, options)) {
      if (attributes['signal'] === KILL_SIGNAL) return true
    }
  } catch {
    // The engine's memory of events is short, and it may be gone.
  }
  return false
}
