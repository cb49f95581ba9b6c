import { findEngineAddress, openDockerEngine, type DockerEngine, type EngineAddress } from '@cove/docker-engine'
import {
  CoveError,
  LIMIT_NAMES,
  parseImageId,
  silentLog,
  type CreateContext,
  type DiskId,
  type Driver,
  type Fingerprint,
  type KeepsDisks,
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
import { AgentVolume, emptyImage } from './agent-volume.ts'
import { checkDockerSpec, refuseDockerSpec } from './check-docker-spec.ts'
import { Claims } from './claims.ts'
import { ContainerWatch } from './container-watch.ts'
import { describeEngine, refuseEngine } from './describe-engine.ts'
import { DiskContainers } from './disk-containers.ts'
import { EngineImages, type ImageSource } from './engine-images.ts'
import { sharesFiles, type EngineParts } from './engine-parts.ts'
import { missingLimits } from './limits.ts'
import { MachineMaker } from './machine-maker.ts'
import { KIND, LABEL, Names } from './names.ts'
import type { HostNames } from './rename-container.ts'
import { proveEngine } from './prove-engine.ts'
import { recoverMachines } from './recover-machines.ts'
import { unlessMissing } from './unless-missing.ts'

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
  /** Names containers of an engine on this host. Without it machines that are made ahead cannot be taken. */
  readonly launcher?: HostNames
  readonly random?: Random
  readonly log?: Log
  /** How the engine is reached. Default: over its socket. */
  readonly connect?: (address: EngineAddress, signal?: AbortSignal) => Promise<DockerEngine>
}

const NAME = 'docker'
/** A stalled engine must not hold everything up for ever. */
const OPEN_MS = 60_000
const REMOVE_MS = 300_000

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
  readonly #disks: DiskContainers
  readonly #maker: MachineMaker
  readonly #random: Random
  readonly #log: Log
  readonly #claims = new Claims()
  readonly #closing = new AbortController()
  #opening: Promise<EngineParts> | undefined
  /** Once it is open; until then `validate` is generous and `create` decides. */
  #parts: EngineParts | undefined
  #isHere: Promise<boolean> | undefined

  constructor(options: DockerOptions) {
    this.#options = options
    this.#names = new Names(options.installation)
    this.#images = new EngineImages(this.#names, options.images)
    this.#disks = new DiskContainers(this.#names)
    this.#random = options.random ?? systemRandom
    this.#log = options.log ?? silentLog
    this.#maker = new MachineMaker({
      names: this.#names,
      disks: this.#disks,
      log: this.#log,
      runtime: options.runtime,
      hostNames: options.launcher,
      check: (limits) =>
        refuseDockerSpec(this.validate({ from: ANY_IMAGE, limits, network: { kind: 'none' }, hostname: NAME })),
    })
  }

  async fingerprint(signal: AbortSignal): Promise<Fingerprint> {
    const opened = await this.#open(signal).catch((error: unknown) => CoveError.from(error))
    if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
    if (opened instanceof CoveError) return { proven: false, reason: opened.message, fix: opened.fix }
    const { engine, info, missing } = opened
    const refusal = refuseEngine(info)
    if (refusal !== undefined) return { proven: false, ...refusal }
    const failure = await proveEngine(this.#random, signal, async (id, spec, context) => {
      const image = await emptyImage(engine, this.#names, context.signal)
      const machine = await this.#claims.machine(id, () => this.#maker.make(opened, id, spec, context, image))
      return { machine, [Symbol.asyncDispose]: () => this.destroy(id) }
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
    return checkDockerSpec(spec, this.#parts)
  }

  async create(id: MachineId, spec: MachineSpec, context: CreateContext): Promise<Machine> {
    if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
    const parts = await this.#open(context.signal)
    refuseDockerSpec(this.validate(spec))
    if ((spec.volumes ?? []).length > 0) await this.#refuseUnlessHere(parts)
    const make = () => this.#claims.machine(id, () => this.#make(parts, id, spec, context))
    return spec.disk === undefined ? make() : this.#claims.disk(spec.disk, make)
  }

  async *recover(): AsyncIterable<Recovered> {
    const parts = await this.#open()
    yield* recoverMachines(parts, this.#names, this.#maker)
    await this.#sweep(parts)
  }

  async destroy(id: MachineId): Promise<void> {
    const parts = await this.#open()
    await this.#claims.afterMachine(id, () => this.#remove(parts, id))
  }

  async listDisks(): Promise<readonly DiskId[]> {
    return this.#disks.list((await this.#open()).engine)
  }

  async removeDisk(id: DiskId): Promise<void> {
    const { engine } = await this.#open()
    await this.#claims.disk(id, () => this.#disks.remove(engine, id))
  }

  /** Machines go on. */
  async close(): Promise<void> {
    this.#closing.abort(new CoveError('cancelled', 'the Docker driver is closed'))
    const parts = await this.#opening?.catch(() => undefined)
    await parts?.watch[Symbol.asyncDispose]()
    parts?.engine[Symbol.dispose]()
  }

  /** Connects once; a failure is tried again by the next call. Who gives up waiting does not end it for others. */
  async #open(signal?: AbortSignal): Promise<EngineParts> {
    this.#opening ??= this.#start().catch((error: unknown) => {
      this.#opening = undefined
      throw CoveError.from(error, 'driver-failed')
    })
    if (signal === undefined) return this.#opening
    const { promise: left, reject } = Promise.withResolvers<never>()
    const onAbort = (): void => reject(CoveError.from(signal.reason, 'cancelled'))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await Promise.race([this.#opening, left])
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async #start(): Promise<EngineParts> {
    const { address = await findEngineAddress(this.#options.env ?? {}), connect = openDockerEngine } = this.#options
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(OPEN_MS)])
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
    const isHere = await this.#isHere.catch(() => false)
    if (isHere) return
    // An engine that could not answer just now is asked again.
    this.#isHere = undefined
    throw new CoveError(
      'unsupported',
      'the Docker Engine does not see the files of this host, and so no volumes',
      { field: 'volumes' },
      { fix: "Use an engine on this host, or a driver of this host's own." },
    )
  }

  async #make(parts: EngineParts, id: MachineId, spec: MachineSpec, context: CreateContext): Promise<Machine> {
    const kept = spec.disk === undefined ? undefined : await this.#disks.find(parts.engine, spec.disk)
    if (kept !== undefined) return this.#maker.makeOnDisk(parts, id, spec, context, kept)
    const image = spec.from.kind === 'layers' ? spec.from.image : undefined
    if (image === undefined) throw new CoveError('unsupported', 'a Docker Engine starts machines from images')
    const name = await this.#images.ensure(parts.engine, image, context)
    return this.#maker.make(parts, id, spec, context, name, { [LABEL.image]: image })
  }

  async #remove({ engine, watch }: EngineParts, id: MachineId): Promise<void> {
    const signal = AbortSignal.timeout(REMOVE_MS)
    const container = await engine.inspectContainer(this.#names.machine(id), signal).catch(unlessMissing)
    // Somebody else's can have the name too.
    if (container?.labels[LABEL.installation] !== this.#names.installation) return
    const isDisk = container.labels[LABEL.disk] !== undefined && container.state !== 'created'
    if (isDisk) await this.#disks.free(engine, container.id)
    else await engine.removeContainer(container.id, signal)
    await watch.look(container.id, KILLED)
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
