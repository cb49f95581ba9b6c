import { randomUUID } from 'node:crypto'
import type { Container, ContainerSpec, DockerEngine } from '@cove/docker-engine'
import {
  CoveError,
  type CreateContext,
  type LimitReport,
  type Limits,
  type Log,
  type Machine,
  type MachineId,
  type MachineSpec,
} from '@cove/domain'
import { isAlive } from './container-watch.ts'
import { planContainer, withLabels } from './container-plan.ts'
import type { DiskContainers } from './disk-containers.ts'
import type { EngineParts } from './engine-parts.ts'
import { engineLimits, mustDrop, reportLimits, writeReports } from './limits.ts'
import { DockerMachine } from './machine.ts'
import type { HostNames } from './rename-container.ts'
import { KIND, LABEL, type Names } from './names.ts'
import { unlessMissing } from './unless-missing.ts'

/** No step of an engine takes longer; a stalled one must not hold a create for ever. */
const STEP_MS = 120_000

export interface MakerOptions {
  readonly names: Names
  readonly disks: DiskContainers
  readonly log: Log
  readonly runtime: string | undefined
  /** Fails for limits that cannot be given. */
  readonly check: (limits: Limits) => void
  readonly hostNames: HostNames | undefined
}

/** From specs to running containers. What fails leaves nothing behind, and disks as they were. */
export class MachineMaker {
  readonly #options: MakerOptions
  readonly #names: Names

  constructor(options: MakerOptions) {
    this.#options = options
    this.#names = options.names
  }

  /** A new container. */
  async make(
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
  async makeOnDisk(
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
      await this.#options.disks
        .free(engine, kept.id)
        .catch((cause: unknown) =>
          this.#options.log.warn('a disk could not be put back', { message: CoveError.from(cause).message }),
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
      machine = await this.make(parts, id, spec, context, image, labels)
    } catch (error) {
      await engine.removeImage(image).catch(() => undefined)
      throw error
    }
    await engine.removeContainer(kept.id)
    return machine
  }

  #plan({ agent, info, seccomp }: EngineParts, spec: MachineSpec, image: string): ContainerSpec {
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
    return this.machine(parts, id, container, limits)
  }

  /** One that runs. */
  machine(parts: EngineParts, id: MachineId, container: Container, limits: readonly LimitReport[]): Machine {
    const { engine, watch, missing } = parts
    const judge = (asked: Limits): readonly LimitReport[] => {
      this.#options.check(asked)
      return reportLimits(asked, missing)
    }
    return new DockerMachine({
      id,
      container,
      limits,
      engine,
      watch,
      names: this.#names,
      judge,
      hostNames: this.#options.hostNames,
    })
  }

  async #removeAttempt(engine: DockerEngine, attempt: string): Promise<void> {
    try {
      for (const { id } of await engine.listContainers({ [LABEL.attempt]: attempt })) await engine.removeContainer(id)
    } catch (error) {
      // The engine is gone; what it has is told as partial once it is back.
      this.#options.log.warn('a container of a failed create could not be removed', {
        message: CoveError.from(error).message,
      })
    }
  }
}
