import { randomUUID } from 'node:crypto'
import {
  findEngineAddress,
  openDockerEngine,
  type Container,
  type ContainerSummary,
  type DockerEngine,
  type EngineAddress,
} from '@cove/docker-engine'
import {
  CoveError,
  LIMIT_NAMES,
  parseDiskId,
  parseImageId,
  silentLog,
  type CreateContext,
  type DiskId,
  type Driver,
  type Fingerprint,
  type KeepsDisks,
  type LimitReport,
  type Limits,
  type Log,
  type Machine,
  type MachineId,
  type MachineSpec,
  type Problem,
  type Random,
  type Recovered,
} from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { seccompProfile } from '../oci/seccomp-profile.ts'
import { ownArchitecture } from '../seccomp/own-architecture.ts'
import { checkSpec, refuseProblems } from '../host/check-spec.ts'
import { AgentVolume, emptyImage } from './agent-volume.ts'
import { Claims } from './claims.ts'
import { ContainerWatch, isAlive } from './container-watch.ts'
import { planContainer, withLabels } from './container-plan.ts'
import { describeEngine, refuseEngine } from './describe-engine.ts'
import { EngineImages, type ImageSource } from './engine-images.ts'
import { sharesFiles, type EngineParts } from './engine-parts.ts'
import { exitOf } from './exit-of.ts'
import { engineLimits, limitsOf, missingLimits, mustDrop, reportLimits, writeReports } from './limits.ts'
import { DockerMachine } from './machine.ts'
import { KIND, LABEL, Names } from './names.ts'
import { proveEngine } from './prove-engine.ts'

export interface DockerOptions {
  /** Path of the guest program, built for the engine's processor. */
  readonly guestProgram: string
  /** Whose machines these are; on every label. */
  readonly installation: string
  /** Folder on this host for files that show whether the engine is here too. Made when missing. */
  readonly stateDir: string
  /** Where images come from. */
  readonly images: ImageSource
  /** Where the engine listens. Default: as the `docker` command finds it by `env`. */
  readonly address?: EngineAddress
  /** `DOCKER_HOST` and the like. Default: none of them. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** OCI runtime by its name in the engine's configuration. Default: the engine's. */
  readonly runtime?: string
  readonly random?: Random
  readonly log?: Log
  /** How the engine is reached. Default: over its socket. */
  readonly connect?: (address: EngineAddress, signal?: AbortSignal) => Promise<DockerEngine>
}

const NAME = 'docker'
/** No step of an engine takes longer; a stalled one must not hold a create for ever. */
const STEP_MS = 120_000
const AT_ONCE = 8

const NO_INTERNET = {
  available: false,
  reason: "a Docker Engine's own networks also lead to its host and to private addresses",
  fix: 'Use network `none`, or a driver that has it, such as `bubblewrap` or `oci`.',
} as const

/** Containers of a Docker Engine, here or elsewhere. They outlive this process, and the engine where it allows that. */
export function createDockerDriver(options: DockerOptions): Driver & KeepsDisks {
  return new DockerDriver(options)
}

class DockerDriver implements Driver, KeepsDisks {
  readonly name = NAME
  readonly isolation = 'container'
  readonly #options: DockerOptions
  readonly #names: Names
  readonly #images: EngineImages
  readonly #random: Random
  readonly #log: Log
  readonly #claims = new Claims()
  #opening: Promise<EngineParts> | undefined
  /** Once it is open; until then `validate` is generous and `create` decides. */
  #parts: EngineParts | undefined
  #isHere: Promise<boolean> | undefined

  constructor(options: DockerOptions) {
    this.#options = options
    this.#names = new Names(options.installation)
    this.#images = new EngineImages(this.#names, options.images)
    this.#random = options.random ?? systemRandom
    this.#log = options.log ?? silentLog
  }

  async fingerprint(signal: AbortSignal): Promise<Fingerprint> {
    const opened = await this.#open().catch((error: unknown) => CoveError.from(error))
    if (opened instanceof CoveError) return { proven: false, reason: opened.message, fix: opened.fix }
    const { engine, info, missing } = opened
    const refusal = refuseEngine(info)
    if (refusal !== undefined) return { proven: false, ...refusal }
    const failure = await proveEngine(this.#random, signal, async (id, spec, context) => {
      const image = await emptyImage(engine, this.#names, context.signal)
      return {
        machine: await this.#claims.machine(id, () => this.#make(opened, id, spec, context, image)),
        [Symbol.asyncDispose]: () => this.destroy(id),
      }
    })
    if (failure !== undefined) return { proven: false, ...failure }
    return {
      proven: true,
      native: true,
      details: describeEngine(engine, info),
      enforces: LIMIT_NAMES.filter((name) => missing[name] === undefined),
    }
  }

  validate(spec: MachineSpec): readonly Problem[] {
    const info = this.#parts?.info
    const size = { memoryBytes: info?.memoryBytes ?? Infinity, cpus: info?.cpus ?? Infinity }
    const missing = this.#parts?.missing ?? missingLimits({ limits: { memory: true, cpus: true, processes: true } })
    const problems = [...checkSpec(spec, size, missing, NO_INTERNET)]
    if (spec.from.kind === 'host' || (spec.from.kind === 'layers' && spec.from.image === undefined)) {
      problems.push({
        field: 'from',
        message: 'a Docker Engine cannot show programs of this host; it starts machines from images',
        fix: 'Name a template or an image, for example `oci:debian:12`.',
      })
    }
    if ((spec.volumes ?? []).length > 0 && info?.security.some((option) => option === 'name=userns') === true) {
      problems.push({
        field: 'volumes',
        message: 'the Docker Engine maps users, so that the files of volumes would have other owners inside',
        fix: 'Turn `userns-remap` off in the engine, or choose another driver.',
      })
    }
    return problems
  }

  async create(id: MachineId, spec: MachineSpec, context: CreateContext): Promise<Machine> {
    if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
    const parts = await this.#open()
    refuse(this.validate(spec))
    if ((spec.volumes ?? []).length > 0) await this.#refuseUnlessHere(parts)
    const make = () => this.#claims.machine(id, () => this.#makeFromImage(parts, id, spec, context))
    return spec.disk === undefined ? make() : this.#claims.disk(spec.disk, make)
  }

  async *recover(): AsyncIterable<Recovered> {
    const parts = await this.#open()
    const { engine } = parts
    const all = await engine.listContainers(this.#names.labels(KIND.machine))
    for (let at = 0; at < all.length; at += AT_ONCE) {
      const found = all.slice(at, at + AT_ONCE).map((summary) => this.#recovered(parts, summary))
      for (const each of await Promise.all(found)) if (each !== undefined) yield each
    }
    await this.#sweep(parts)
  }

  async destroy(id: MachineId): Promise<void> {
    const parts = await this.#open()
    await this.#claims.afterMachine(id, () => this.#remove(parts, id))
  }

  async listDisks(): Promise<readonly DiskId[]> {
    const { engine } = await this.#open()
    const all = await engine.listContainers({ ...this.#names.labels(KIND.machine), [LABEL.disk]: '' })
    return [...new Set(all.filter(({ state }) => state !== 'created').flatMap(diskOf))]
  }

  async removeDisk(id: DiskId): Promise<void> {
    const { engine } = await this.#open()
    await this.#claims.disk(id, async () => {
      const containers = await this.#ofDisk(engine, id)
      if (containers.some((each) => this.#usesDisk(each))) throw inUse(id)
      for (const container of containers) await engine.removeContainer(container.id)
      for (const { tags } of await engine.listImages({ reference: `${this.#names.disks}:${id}*` })) {
        for (const tag of tags) await engine.removeImage(tag)
      }
    })
  }

  async close(): Promise<void> {
    const parts = await this.#opening?.catch(() => undefined)
    await parts?.watch[Symbol.asyncDispose]()
    parts?.engine[Symbol.dispose]()
  }

  /** Connects once; a failure is tried again by the next call. */
  #open(): Promise<EngineParts> {
    this.#opening ??= this.#start().catch((error: unknown) => {
      this.#opening = undefined
      throw CoveError.from(error, 'driver-failed')
    })
    return this.#opening
  }

  async #start(): Promise<EngineParts> {
    const { address = await findEngineAddress(this.#options.env ?? {}), connect = openDockerEngine } = this.#options
    const signal = AbortSignal.timeout(STEP_MS)
    const engine = await connect(address, signal)
    try {
      const info = await engine.info(signal)
      // What an earlier daemon was in the middle of.
      for (const { id } of await engine.listContainers(this.#names.labels(KIND.helper), signal)) {
        await engine.removeContainer(id, signal)
      }
      const agent = await AgentVolume.read(this.#options.guestProgram, this.#names)
      if (refuseEngine(info) === undefined) await agent.ensure(engine, signal)
      const watch = new ContainerWatch(engine, this.#names, this.#log)
      const seccomp = JSON.stringify(seccompProfile(ownArchitecture()))
      this.#parts = { engine, info, agent, watch, seccomp, missing: missingLimits(info) }
      return this.#parts
    } catch (error) {
      engine[Symbol.dispose]()
      throw error
    }
  }

  async #refuseUnlessHere({ engine }: EngineParts): Promise<void> {
    this.#isHere ??= sharesFiles(engine, this.#names, this.#options.stateDir)
    if (await this.#isHere) return
    throw new CoveError(
      'unsupported',
      'the Docker Engine does not see the files of this host, and so no volumes',
      { field: 'volumes' },
      { fix: "Use an engine on this host, or a driver of this host's own." },
    )
  }

  async #makeFromImage(parts: EngineParts, id: MachineId, spec: MachineSpec, context: CreateContext): Promise<Machine> {
    const kept = spec.disk === undefined ? undefined : await this.#freeDisk(parts.engine, spec.disk)
    if (kept !== undefined) return this.#makeOnDisk(parts, id, spec, context, kept)
    const image = spec.from.kind === 'layers' ? spec.from.image : undefined
    if (image === undefined) throw new CoveError('unsupported', 'a Docker Engine starts machines from images')
    const name = await this.#images.ensure(parts.engine, image, context)
    return this.#make(parts, id, spec, context, name, { [LABEL.image]: image })
  }

  /** A new container. */
  async #make(
    parts: EngineParts,
    id: MachineId,
    spec: MachineSpec,
    context: CreateContext,
    image: string,
    labels: Readonly<Record<string, string>> = {},
  ): Promise<Machine> {
    const { engine } = parts
    const reports = reportLimits(spec.limits, parts.missing)
    const attempt = randomUUID()
    const plan = withLabels(this.#plan(parts, spec, image), {
      ...this.#names.labels(KIND.machine),
      ...labels,
      [LABEL.attempt]: attempt,
      [LABEL.limits]: writeReports(reports),
      ...(spec.disk === undefined ? {} : { [LABEL.disk]: spec.disk }),
    })
    const name = this.#names.machine(id)
    try {
      context.progress('making the container')
      // Not given up in the middle: nobody could say then whether it is there.
      const container = await engine
        .createContainer({ ...plan, ...engineLimits(reports), name }, AbortSignal.timeout(STEP_MS))
        .then((made) => made.id)
      if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
      context.progress('starting the machine')
      await this.#startContainer(parts, container)
      return await this.#started(parts, id, container, reports, context.signal)
    } catch (error) {
      await this.#removeAttempt(engine, attempt)
      if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
      throw CoveError.from(error, 'driver-failed')
    }
  }

  /** The container that is the disk goes on as the next machine; only its name tells which. */
  async #makeOnDisk(
    parts: EngineParts,
    id: MachineId,
    spec: MachineSpec,
    context: CreateContext,
    kept: Container,
  ): Promise<Machine> {
    const { engine } = parts
    const reports = reportLimits(spec.limits, parts.missing)
    const change = engineLimits(reports)
    const plan = withLabels(this.#plan(parts, spec, kept.image), {})
    if (plan.labels?.[LABEL.shape] !== kept.labels[LABEL.shape] || mustDrop(kept, change)) {
      return this.#makeFromDisk(parts, id, spec, context, kept)
    }
    const taken = await engine.inspectContainer(this.#names.machine(id)).catch(unlessMissing)
    if (taken !== undefined) throw new CoveError('already-exists', `there is a machine ${id} already`)
    try {
      context.progress('starting the machine')
      if (Object.keys(change).length > 0) await engine.changeContainer(kept.id, change)
      await this.#startContainer(parts, kept.id)
      // From here on it is known as this machine, and how it ends is this machine's end.
      await engine.renameContainer(kept.id, this.#names.machine(id))
      return await this.#started(parts, id, kept.id, reports, context.signal)
    } catch (error) {
      await this.#free(engine, kept.id).catch((cause: unknown) =>
        this.#log.warn('a disk could not be put back', { message: CoveError.from(cause).message }),
      )
      if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
      throw CoveError.from(error, 'driver-failed')
    }
  }

  /** What the disk holds becomes an image, for something is asked for that cannot be changed of a container. */
  async #makeFromDisk(
    parts: EngineParts,
    id: MachineId,
    spec: MachineSpec,
    context: CreateContext,
    kept: Container,
  ): Promise<Machine> {
    const { engine } = parts
    const tag = `${kept.labels[LABEL.disk]}-${randomUUID().slice(0, 8)}`
    const image = `${this.#names.disks}:${tag}`
    context.progress('making the disk anew')
    let machine: Machine
    try {
      await engine.commitContainer(kept.id, { repository: this.#names.disks, tag, pause: false }, context.signal)
      const origin = kept.labels[LABEL.image]
      const labels = origin === undefined ? {} : { [LABEL.image]: origin }
      machine = await this.#make(parts, id, spec, context, image, labels)
    } catch (error) {
      await engine.removeImage(image).catch(() => undefined)
      throw error
    }
    await engine.removeContainer(kept.id)
    return machine
  }

  #plan({ agent, info, seccomp }: EngineParts, spec: MachineSpec, image: string) {
    const { runtime } = this.#options
    return planContainer(spec, {
      image,
      agentVolume: agent.name,
      cgroupVersion: info.cgroupVersion,
      seccomp,
      ...(runtime === undefined ? {} : { runtime }),
    })
  }

  async #startContainer({ engine, agent }: EngineParts, container: string): Promise<void> {
    try {
      await engine.startContainer(container, AbortSignal.timeout(STEP_MS))
    } catch (error) {
      // Somebody has removed the volume, and the engine has made another one of that name with nothing in it.
      if (!/no such file|not found/i.test(CoveError.from(error).message)) throw error
      await agent.ensure(engine)
      await engine.startContainer(container, AbortSignal.timeout(STEP_MS))
    }
  }

  async #started(
    parts: EngineParts,
    id: MachineId,
    containerId: string,
    limits: readonly LimitReport[],
    signal: AbortSignal,
  ): Promise<Machine> {
    const container = await parts.engine.inspectContainer(containerId)
    if (!isAlive(container)) {
      throw new CoveError('driver-failed', `the machine ended as soon as it was started (${container.exitCode})`)
    }
    if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
    return this.#machine(parts, id, container, limits)
  }

  #machine(parts: EngineParts, id: MachineId, container: Container, limits: readonly LimitReport[]): Machine {
    const { engine, watch } = parts
    const judge = (asked: Limits): readonly LimitReport[] => {
      const spec: MachineSpec = { from: ANY_IMAGE, limits: asked, network: { kind: 'none' }, hostname: 'resized' }
      refuse(this.validate(spec))
      return reportLimits(asked, parts.missing)
    }
    return new DockerMachine({ id, container, limits, engine, watch, names: this.#names, judge })
  }

  async #recovered(parts: EngineParts, summary: ContainerSummary): Promise<Recovered | undefined> {
    const { engine } = parts
    const role = summary.names.map((name) => this.#names.role(name)).find((each) => each !== undefined)
    if (role === undefined) return undefined
    if ('freeDisk' in role) {
      // A daemon was killed between its start and its name.
      if (isAlive(summary)) await engine.signalContainer(summary.id, 'SIGKILL').catch(() => undefined)
      return undefined
    }
    const id = role.machine
    const container = await engine.inspectContainer(summary.id).catch(unlessMissing)
    if (container === undefined) return undefined
    if (isAlive(container)) {
      const limits = limitsOf(container, container.labels[LABEL.limits])
      return { kind: 'running', machine: this.#machine(parts, id, container, limits) }
    }
    if (container.state !== 'exited' && container.state !== 'dead') return { kind: 'partial', id }
    const { exitCode, outOfMemory } = container
    return { kind: 'exited', id, exit: exitOf({ exitCode, outOfMemory, killed: false }) }
  }

  async #remove({ engine, watch }: EngineParts, id: MachineId): Promise<void> {
    const container = await engine.inspectContainer(this.#names.machine(id)).catch(unlessMissing)
    if (container === undefined) return
    const isDisk = container.labels[LABEL.disk] !== undefined && container.state !== 'created'
    if (isDisk) await this.#free(engine, container.id)
    else await engine.removeContainer(container.id)
    await watch.look(container.id, KILLED)
  }

  /** Ends what runs in a disk's container, and gives it the name of a disk that nobody uses. */
  async #free(engine: DockerEngine, container: string): Promise<void> {
    const found = await engine.inspectContainer(container).catch(unlessMissing)
    const [disk] = found === undefined ? [] : diskOf(found)
    if (found === undefined || disk === undefined) return
    if (found.state === 'paused') await engine.resumeContainer(found.id).catch(() => undefined)
    if (isAlive(found)) {
      await engine.signalContainer(found.id, 'SIGKILL').catch((error: unknown) => {
        if (CoveError.from(error).code !== 'wrong-state') throw error
      })
      await engine.waitContainer(found.id, AbortSignal.timeout(STEP_MS))
    }
    const name = this.#names.disk(disk)
    if (found.name === name) return
    // What this one was made from, when its daemon was killed before it could remove that.
    const stale = await engine.inspectContainer(name).catch(unlessMissing)
    if (stale !== undefined) await engine.removeContainer(stale.id)
    await engine.renameContainer(found.id, name)
  }

  async #freeDisk(engine: DockerEngine, disk: DiskId): Promise<Container | undefined> {
    const containers = await this.#ofDisk(engine, disk)
    if (containers.some((each) => this.#usesDisk(each))) throw inUse(disk)
    const free = containers.find(({ names }) => names.includes(this.#names.disk(disk)))
    return free === undefined ? undefined : engine.inspectContainer(free.id)
  }

  #ofDisk(engine: DockerEngine, disk: DiskId): Promise<readonly ContainerSummary[]> {
    return engine.listContainers({ ...this.#names.labels(KIND.machine), [LABEL.disk]: disk })
  }

  #usesDisk({ names, state }: ContainerSummary): boolean {
    const role = names.map((name) => this.#names.role(name)).find((each) => each !== undefined)
    return role !== undefined && 'machine' in role && state !== 'created'
  }

  async #removeAttempt(engine: DockerEngine, attempt: string): Promise<void> {
    try {
      for (const { id } of await engine.listContainers({ [LABEL.attempt]: attempt })) await engine.removeContainer(id)
    } catch (error) {
      // The engine is gone; what it has is told as partial once it is back.
      this.#log.warn('a container of a failed create could not be removed', { message: CoveError.from(error).message })
    }
  }

  /** What no machine needs any more: images, other versions of the agent, what a killed daemon was saving. */
  async #sweep({ engine, agent }: EngineParts): Promise<void> {
    try {
      for (const { tags } of await engine.listImages({ reference: `${this.#names.saved}:*` })) {
        for (const tag of tags) await engine.removeImage(tag)
      }
      await agent.removeOthers(engine)
      await this.#images.sweep(engine)
    } catch (error) {
      this.#log.warn('the Docker Engine could not be swept', { message: CoveError.from(error).message })
    }
  }
}

const ANY_IMAGE = { kind: 'layers', lower: ['/'], image: parseImageId(`sha256:${'0'.repeat(64)}`) } as const
/** A removal ends a container with KILL. */
const KILLED = 137

function diskOf({ labels }: Pick<ContainerSummary, 'labels'>): readonly DiskId[] {
  const text = labels[LABEL.disk]
  return text === undefined ? [] : [parseDiskId(text)]
}

function inUse(disk: DiskId): CoveError {
  return new CoveError('wrong-state', `disk ${disk} is used by a machine`)
}

function unlessMissing(error: unknown): undefined {
  if (CoveError.from(error).code !== 'container-not-found') throw error
}

function refuse(problems: readonly Problem[]): void {
  const [first] = problems
  if (first?.field === 'from' && first.message.includes('programs of this host')) {
    throw new CoveError('unsupported', first.message, { field: first.field }, { fix: first.fix })
  }
  refuseProblems(problems)
}
