import { basename, join } from 'node:path'
import { CoveError, type CreateContext, type MachineId, type MachineSpec, type Problem } from '@cove/domain'
import type { DiskForm } from '../host/disk-store.ts'
import type { VmNote } from '../host/machine-note.ts'
import { ToolDriver, type LaunchedOptions, type Lower } from '../launched/driver.ts'
import type { Tool } from '../launched/tool.ts'
import type { GuestSystem, GuestSystems } from '@cove/guest-system'
import { RootFiles, type ImageFile } from './root-files.ts'
import { NO_HOST, vmProblems } from './vm-problems.ts'

export interface VmOptions extends LaunchedOptions {
  readonly guestSystems: Pick<GuestSystems, 'current'>
  /** Gives an image's root as one erofs file. Without it files are made of the image's folders. */
  readonly imageFile?: ImageFile
}

/** What one machine that is being made is made of. */
export interface VmPlan {
  readonly system: GuestSystem
  /** Its root, an erofs file. */
  readonly rootFile: string
  readonly memoryBytes: number
  readonly cpus: number
  readonly processes: number | undefined
}

const MiB = 1024 * 1024
const DEFAULT_MEMORY_BYTES = 512 * MiB

export const NO_KERNEL = {
  reason: 'there is no kernel for virtual machines',
  fix: 'Run `cove kernel build` for one that starts fast, or `cove kernel fetch` for the one of your distribution.',
} as const

/** Machines with a kernel of their own, each one process of the host. */
export abstract class VmDriver extends ToolDriver {
  readonly #options: VmOptions
  readonly #roots: RootFiles
  readonly #plans = new Map<MachineId, VmPlan>()
  /** As it was found last. */
  #system: GuestSystem | undefined

  constructor(options: VmOptions, tool: Tool) {
    super(options, tool)
    this.#options = options
    this.#roots = new RootFiles(join(options.stateDir, 'roots'), options.imageFile)
  }

  override validate(spec: MachineSpec): readonly Problem[] {
    return [...super.validate(spec), ...vmProblems(spec, this.#system)]
  }

  override async close(): Promise<void> {
    await super.close()
    await this.#roots.close()
  }

  /** What machines boot; undefined where there is nothing. */
  protected async system(signal: AbortSignal): Promise<GuestSystem | undefined> {
    this.#system = await this.#options.guestSystems.current(signal)
    return this.#system
  }

  /** How many processors of a machine may run at the same time. */
  protected abstract cpusOf(spec: MachineSpec, system: GuestSystem): number

  protected override async lowerOf(
    id: MachineId,
    spec: MachineSpec,
    _disk: DiskForm,
    { signal, progress }: CreateContext,
  ): Promise<Lower> {
    const system = await this.system(signal)
    if (system === undefined) throw new CoveError('isolation-unavailable', NO_KERNEL.reason, {}, { fix: NO_KERNEL.fix })
    const [problem] = vmProblems(spec, system)
    if (problem !== undefined) {
      throw new CoveError('unsupported', problem.message, { field: problem.field }, { fix: problem.fix })
    }
    const root = spec.from.kind === 'snapshot' ? spec.from.root : spec.from
    if (root.kind !== 'layers')
      throw new CoveError('unsupported', NO_HOST.message, { field: 'from' }, { fix: NO_HOST.fix })
    progress('preparing the root')
    const memoryBytes = wholeMiB(spec.limits.memoryBytes?.value ?? DEFAULT_MEMORY_BYTES)
    const plan: VmPlan = {
      system,
      rootFile: await this.#roots.of(root, signal),
      memoryBytes,
      cpus: this.cpusOf(spec, system),
      processes: spec.limits.processes?.value,
    }
    this.#plans.set(id, plan)
    const vm: VmNote = {
      system: system.id,
      memoryBytes,
      cpus: plan.cpus,
      network: spec.network.kind === 'internet',
      volumes: spec.volumes?.length ?? 0,
      root: basename(plan.rootFile),
      ...this.vmFacts(),
    }
    return { spec, note: { vm } }
  }

  /** What else of a machine has to be the same where its memory is to go on. */
  protected abstract vmFacts(): Pick<VmNote, 'accelerator' | 'monitor' | 'cpu'>

  /** Of a machine that is about to be started; once. */
  protected takePlan(id: MachineId): VmPlan {
    const plan = this.#plans.get(id)
    if (plan === undefined) throw new CoveError('internal', `machine ${id} was not planned`)
    this.#plans.delete(id)
    return plan
  }

  protected override released(id: MachineId): Promise<void> {
    this.#plans.delete(id)
    return super.released(id)
  }
}

const wholeMiB = (bytes: number): number => Math.floor(bytes / MiB) * MiB
