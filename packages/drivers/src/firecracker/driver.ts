import { constants } from 'node:fs'
import { access, chmod, mkdir, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import {
  CoveError,
  silentLog,
  type CreateContext,
  type Driver,
  type Fingerprint,
  type KeepsDisks,
  type KeepsSnapshots,
  type Limits,
  type Machine,
  type MachineId,
  type MachineSpec,
  type Problem,
  type Recovered,
  type SnapshotId,
} from '@cove/domain'
import type { GuestSystem } from '@cove/guest-system'
import { copyFile } from '@cove/images'
import type { HostProcessSpec } from '@cove/runner'
import type { DiskForm } from '../host/disk-store.ts'
import { launchedRecords } from '../host/launched-records.ts'
import type { VmNote } from '../host/machine-note.ts'
import { removeTree } from '../host/remove-tree.ts'
import { SnapshotStore } from '../host/snapshot-store.ts'
import type { Lower, MachineOf, ProofFacts } from '../launched/driver.ts'
import type { LaunchedMachineParts } from '../launched/launched-machine.ts'
import { imageOf, type MachineRequest } from '../launched/machine-spec.ts'
import { parseVmManifest, partsOf, refuseUnfit, type VmManifest } from '../microvm/saved-vm.ts'
import { NO_KERNEL, VmDriver, type VmOptions, type VmPlan } from '../microvm/vm-driver.ts'
import { hostCpu } from '../qemu/host-cpu.ts'
import { bootMachine, loadMachine, type RateLimiter } from './boot-machine.ts'
import { FirecrackerMachine } from './firecracker-machine.ts'
import { firecrackerProcessSpec, NEEDS_ROOT, type JailPlaces } from './machine-spec.ts'
import { firecrackerTool, type FirecrackerPaths, type FirecrackerTool } from './tool.ts'

export interface FirecrackerOptions extends VmOptions, FirecrackerPaths {
  /** Path of the program `cove-layers`. Without it there are no memory snapshots. */
  readonly layersProgram?: string
  /** How much each machine may read and write of its disk. Default: as much as it can. */
  readonly diskRate?: RateLimiter
  /** Where the processor's own virtualization is to be found. Default: /dev/kvm. */
  readonly kvmDevice?: string
}

export type FirecrackerDriver = Driver & KeepsDisks & KeepsSnapshots

/** Virtual machines by Firecracker, at the processor's own speed or not at all. */
export function createFirecrackerDriver(options: FirecrackerOptions): FirecrackerDriver {
  return new FirecrackerVmDriver(options, firecrackerTool(options))
}

const KVM = '/dev/kvm'
const MAX_CPUS = 32
/** It starts in a fraction of a second, where it starts. */
const PROOF_MS = 15_000

class FirecrackerVmDriver extends VmDriver implements KeepsSnapshots {
  protected override readonly startsFromSnapshots = true
  readonly #options: FirecrackerOptions
  readonly #tool: FirecrackerTool
  readonly #places: JailPlaces
  /** Of machines that are being made: folder of what they go on from. */
  readonly #saved = new Map<MachineId, { readonly id: SnapshotId; readonly folder: string }>()
  readonly #made = new Map<MachineId, VmPlan>()
  #snapshots: Promise<SnapshotStore<VmManifest>> | undefined
  #version = ''
  #cpu = ''
  #programs: readonly string[] = []
  #details: Readonly<Record<string, string>> = {}

  constructor(options: FirecrackerOptions, tool: FirecrackerTool) {
    super(options, tool)
    this.#options = options
    this.#tool = tool
    const { stateDir } = options
    this.#places = { jails: join(stateDir, 'jails'), saves: join(stateDir, 'saves') }
  }

  override async fingerprint(signal: AbortSignal): Promise<Fingerprint> {
    const found = await this.#tool.find()
    if (found.program === undefined) return { proven: false, ...found.missing }
    if (process.getuid?.() !== 0) return { proven: false, ...NEEDS_ROOT }
    const missing = await this.#missingKvm()
    if (missing !== undefined) return { proven: false, ...missing }
    const system = await this.system(signal).catch((error: unknown) => CoveError.from(error))
    if (system instanceof CoveError) return { proven: false, reason: system.message, fix: system.fix }
    if (system === undefined) return { proven: false, ...NO_KERNEL }
    if (!system.has.vsock) return { proven: false, ...noVsock(system) }
    this.#programs = [this.#tool.others().jailer, system.kernel, system.initrd]
    this.#details = { accelerator: 'KVM', kernel: `${system.version} (${system.origin})` }
    return super.fingerprint(signal)
  }

  override validate(spec: MachineSpec): readonly Problem[] {
    const hostless = spec.from.kind === 'snapshot' && spec.from.root.kind === 'host'
    const problems = super.validate(spec).map((problem) => (hostless && problem.field === 'from' ? NO_IMAGE : problem))
    if (spec.network.kind === 'internet') problems.push(NO_INTERNET)
    if ((spec.volumes ?? []).length > 0 && !problems.some(({ field }) => field === 'volumes')) problems.push(NO_VOLUMES)
    return problems
  }

  /** A machine that was being made when the daemon died has a process, and nothing in it. */
  override async *recover(): AsyncIterable<Recovered> {
    await this.#store()
    for await (const found of super.recover()) {
      if (found.kind !== 'running' || !(found.machine instanceof FirecrackerMachine)) {
        yield found
        continue
      }
      const { machine } = found
      const state = await machine.api.call('GET /').then(
        (told) => told.state,
        () => 'unknown' as const,
      )
      if (state === 'Not started') yield { kind: 'partial', id: machine.id }
      else {
        if (state === 'Paused' && this.#interrupted.delete(machine.id)) await machine.resume().catch(() => undefined)
        yield found
      }
    }
  }

  async listSnapshots(): Promise<readonly SnapshotId[]> {
    return (await this.#store()).list()
  }

  async removeSnapshot(id: SnapshotId): Promise<void> {
    await (await this.#store()).remove(id)
  }

  protected override proofFacts(): ProofFacts {
    return { name: '', native: true, deadlineMs: PROOF_MS, programs: this.#programs, details: this.#details }
  }

  protected override vmFacts(): Pick<VmNote, 'accelerator' | 'monitor' | 'cpu'> {
    return { accelerator: 'kvm', monitor: this.#version, cpu: this.#cpu }
  }

  protected override cpusOf({ limits }: MachineSpec, system: GuestSystem): number {
    if (!system.has.smp) return 1
    return Math.min(MAX_CPUS, availableParallelism(), Math.max(1, Math.ceil(limits.cpus?.value ?? 1)))
  }

  protected override async lowerOf(
    id: MachineId,
    spec: MachineSpec,
    disk: DiskForm,
    context: CreateContext,
  ): Promise<Lower> {
    const { prepared } = await this.opened()
    this.#version = prepared.tool.version
    this.#cpu = await hostCpu()
    for (const folder of [this.#places.jails, this.#places.saves]) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
    }
    const lower = await super.lowerOf(id, spec, disk, context)
    const plan = this.takePlan(id)
    this.#made.set(id, plan)
    if (!plan.system.has.vsock) {
      const { reason, fix } = noVsock(plan.system)
      throw new CoveError('isolation-unavailable', reason, {}, { fix })
    }
    for (const path of [plan.system.kernel, plan.system.initrd, plan.rootFile]) await makeReadable(path)
    if (spec.from.kind !== 'snapshot') return lower
    const saved = await (await this.#store()).use(spec.from.id, id)
    const note = { ...lower.note, snapshot: spec.from.id }
    // A disk that has gone on without its memory is one to start from anew.
    if (disk.kind !== 'absent') return { ...lower, note }
    const { vm } = lower.note
    if (vm === undefined) throw new CoveError('internal', `machine ${id} was not planned`)
    const { manifest, folder } = saved
    const { memoryBytes, cpus } = manifest.vm
    const { limits } = spec
    // Whoever asks for nothing gets what there was.
    const here = {
      ...vm,
      ...(limits.memoryBytes === undefined ? { memoryBytes } : {}),
      ...(limits.cpus === undefined ? { cpus } : {}),
    }
    await refuseUnfit(saved, here)
    refuseSmaller(limits.diskBytes, manifest)
    this.#saved.set(id, { id: spec.from.id, folder })
    this.#made.set(id, { ...plan, memoryBytes: here.memoryBytes, cpus: here.cpus })
    const makeImage = async (into: string) => {
      await copyFile(this.#layersProgram(), { from: partsOf(folder).disk, into, signal: context.signal })
      await chmod(into, 0o600)
    }
    return { ...lower, note: { ...note, vm: here }, makeImage }
  }

  protected override async released(id: MachineId): Promise<void> {
    await super.released(id)
    this.#saved.delete(id)
    this.#made.delete(id)
    const { jails, saves } = this.#places
    await Promise.all([jails, saves].map((folder) => removeTree(join(folder, id))))
    await (await this.#store()).release(id)
  }

  protected override processSpec(request: MachineRequest): HostProcessSpec {
    const { id } = request
    const saved = this.#saved.get(id)
    const plan = this.#made.get(id)
    this.#made.delete(id)
    if (plan === undefined) throw new CoveError('internal', `machine ${id} was not planned`)
    return firecrackerProcessSpec({
      ...request,
      ...plan,
      ...this.#tool.others(),
      places: this.#places,
      ...(saved === undefined ? {} : { saved: saved.folder }),
    })
  }

  protected override async started(machine: Machine, { signal, progress }: CreateContext): Promise<void> {
    if (!(machine instanceof FirecrackerMachine)) throw new CoveError('internal', 'a machine of another driver')
    const saved = this.#saved.get(machine.id)
    this.#saved.delete(machine.id)
    await machine.api.ready(machine.exited, signal)
    if (saved === undefined) {
      await bootMachine(machine.api, { ...machine.made, diskRate: this.#options.diskRate }, signal)
      return
    }
    progress('restoring the memory')
    await loadMachine(machine.api, signal)
    machine.wentOnFrom(saved.id)
    await machine.takeIdentity(signal)
  }

  protected override machineOf(of: MachineOf, parts: LaunchedMachineParts): Machine {
    return new FirecrackerMachine(
      of,
      { ...parts, diskImage: imageOf(of.prepared, of.note) },
      {
        save: join(this.#places.saves, parts.id),
        layersProgram: this.#options.layersProgram,
        base: async () => (await this.opened()).ranges.baseOf(of.note.slot ?? 0),
        snapshots: () => this.#store(),
      },
    )
  }

  #layersProgram(): string {
    const { layersProgram } = this.#options
    if (layersProgram !== undefined) return layersProgram
    throw new CoveError('unsupported', 'the program for layers is not there', {}, { fix: 'Run `cove setup`.' })
  }

  async #missingKvm(): Promise<{ readonly reason: string; readonly fix: string } | undefined> {
    const { kvmDevice = KVM } = this.#options
    const error = await access(kvmDevice, constants.R_OK | constants.W_OK).then(
      () => undefined,
      (cause: NodeJS.ErrnoException) => cause,
    )
    if (error === undefined) return undefined
    return error.code === 'ENOENT'
      ? { reason: `this host has no KVM: ${kvmDevice} is not there`, fix: NO_KVM_FIX }
      : { reason: `${kvmDevice} cannot be opened (${error.code})`, fix: 'Let root read and write it.' }
  }

  #store(): Promise<SnapshotStore<VmManifest>> {
    this.#snapshots ??= this.#openStore().catch((error: unknown) => {
      this.#snapshots = undefined
      throw CoveError.from(error, 'driver-failed')
    })
    return this.#snapshots
  }

  /** Machines that were being saved when the daemon was killed: they may stand still. */
  #interrupted = new Set<MachineId>()

  async #openStore(): Promise<SnapshotStore<VmManifest>> {
    const { launcher, log = silentLog, stateDir } = this.#options
    const records = await launchedRecords(launcher, this.name, this.#tool.recordPrefix, log)
    const users = records.flatMap(({ note: { machine, snapshot } }) =>
      snapshot === undefined ? [] : [[machine, snapshot] as const],
    )
    const store = new SnapshotStore(join(stateDir, 'snapshots'), parseVmManifest)
    this.#interrupted = new Set(await store.open(new Map(users)))
    return store
  }
}

const NO_KVM_FIX =
  'Use a host with hardware virtualization (on a virtual one: nested), and load the module kvm_intel or kvm_amd; or use the driver `qemu`, which can do without.'

const NO_INTERNET: Problem = {
  field: 'network',
  message:
    'a machine of Firecracker cannot have the network internet yet: it needs a TAP device that forwards under the rules',
  fix: 'Use network `none`, or the driver `qemu`.',
}

const NO_IMAGE: Problem = {
  field: 'from',
  message: 'there is no memory snapshot of a machine without an image here',
  fix: 'Start from a snapshot of a machine of this driver.',
}

const NO_VOLUMES: Problem = {
  field: 'volumes',
  message: 'a machine of Firecracker cannot show folders of the host: Firecracker has no 9p and no virtiofs',
  fix: 'Leave the volumes out, or use the driver `qemu`.',
}

function refuseSmaller(size: Limits['diskBytes'], { disk }: VmManifest): void {
  if (size?.required !== true || size.value >= disk.size) return
  const message = `the disk was saved with ${disk.size} bytes and cannot shrink to ${size.value}`
  throw new CoveError('limit-not-enforceable', message, { field: 'limits.diskBytes' })
}

const noVsock = ({ version }: GuestSystem): { readonly reason: string; readonly fix: string } => ({
  reason: `the kernel ${version} has no vsock, by which Firecracker's machines are reached`,
  fix: 'Run `cove kernel build` for one that has.',
})

/** A machine's process opens it by itself; only the folders around it keep others out. */
async function makeReadable(path: string): Promise<void> {
  const { mode } = await stat(path)
  if ((mode & 0o004) === 0) await chmod(path, mode | 0o444)
}
