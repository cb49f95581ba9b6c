import { AsyncLocalStorage } from 'node:async_hooks'
import { readFile, writeFile } from 'node:fs/promises'
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
  type Random,
  type Recovered,
  type SnapshotId,
} from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import type { HostProcessSpec } from '@cove/runner'
import { connectSocket } from '../host/connect-socket.ts'
import type { DiskForm } from '../host/disk-store.ts'
import { launchedRecords, type LaunchedRecord } from '../host/launched-records.ts'
import type { VmNote } from '../host/machine-note.ts'
import type { Lower, MachineOf, ProofFacts } from '../launched/driver.ts'
import type { LaunchedMachineParts } from '../launched/launched-machine.ts'
import { machineCgroups, recordOf, type MachineRequest } from '../launched/machine-spec.ts'
import type { GuestSystem } from '@cove/guest-system'
import { hostTscKhz } from '../microvm/kernel-command-line.ts'
import { packDisk, removePacks, type Packed } from '../microvm/pack-disk.ts'
import { NO_KERNEL, VmDriver, type VmOptions } from '../microvm/vm-driver.ts'
import { kvmDevice } from './kvm-device.ts'
import { monitorOf, qemuProcessSpec } from './machine-spec.ts'
import { EMULATED_CPU, type Accelerator } from './qemu-command.ts'
import { QemuMachine } from './qemu-machine.ts'
import { QmpClient } from './qmp-client.ts'
import { SavableQemuMachine } from './savable-machine.ts'
import { QemuSnapshots } from './snapshots.ts'
import { settleDisk } from './settle-disk.ts'
import { hostCpu } from './host-cpu.ts'
import { PACK_MEMORY_BYTES, qemuPackSpec } from './pack-vm.ts'
import { qemuTool, type QemuTool } from './tool.ts'

export interface QemuOptions extends VmOptions {
  /** Path of QEMU. Default: found in the system's program folders. */
  readonly qemu?: string
  /** Path of bubblewrap. Default: found in the system's program folders. */
  readonly bwrap?: string
  /** Path of the program `cove-layers`. Without it there are no memory snapshots, and no disk can be read. */
  readonly layersProgram?: string
}

export type QemuDriver = Driver & KeepsDisks & KeepsSnapshots

const MiB = 1024 * 1024
const ANSWER_MS = 10_000
const ENTROPY_BYTES = 32
const PACK_LIMITS: Limits = {
  memoryBytes: { value: PACK_MEMORY_BYTES + 64 * MiB, required: false },
  cpus: { value: 1, required: false },
}

/** Virtual machines by QEMU: at native speed where KVM really runs one, else by software emulation, and it says which. */
export function createQemuDriver(options: QemuOptions): QemuDriver {
  return new QemuVmDriver(options, qemuTool(options))
}

class QemuVmDriver extends VmDriver implements KeepsSnapshots {
  protected override readonly startsFromSnapshots = true
  readonly #snapshots: QemuSnapshots | undefined
  readonly #random: Random
  #cpu = ''
  readonly #qemu: QemuOptions
  readonly #tool: QemuTool
  readonly #proving = new AsyncLocalStorage<Accelerator>()
  #accelerator: Accelerator | undefined
  #kvmDevice: string | undefined
  #tscKhz: number | undefined
  #version = ''
  #details: Readonly<Record<string, string>> = {}
  #programs: readonly string[] = []

  constructor(options: QemuOptions, tool: QemuTool) {
    super(options, tool)
    this.#qemu = options
    this.#tool = tool
    this.#random = options.random ?? systemRandom
    const { layersProgram, stateDir } = options
    this.#snapshots =
      layersProgram === undefined
        ? undefined
        : new QemuSnapshots({
            stateDir,
            layersProgram,
            records: () => this.#openSnapshots(),
            goOn: (record) => this.#goOn(record),
          })
  }

  override async fingerprint(signal: AbortSignal): Promise<Fingerprint> {
    const system = await this.system(signal).catch((error: unknown) => CoveError.from(error))
    if (system === undefined) return { proven: false, ...NO_KERNEL }
    if (system instanceof CoveError) {
      return { proven: false, reason: system.message, fix: system.fix ?? NO_KERNEL.fix }
    }
    this.#programs = [system.kernel, system.initrd]
    this.#tscKhz ??= await hostTscKhz()
    const kernel = `${system.version} (${system.origin === 'built' ? 'built by cove' : "the distribution's"})`
    let fingerprint: Fingerprint = { proven: false, ...NO_KERNEL }
    for (const accelerator of await this.#candidates()) {
      this.#details = { accelerator: ACCELERATORS[accelerator], kernel }
      fingerprint = await this.#proving.run(accelerator, () => super.fingerprint(signal))
      if (fingerprint.proven) {
        this.#accelerator = accelerator
        return fingerprint
      }
      if (accelerator === 'kvm') await writeFile(this.#noKvm(), await noKvmKey()).catch(() => undefined)
    }
    return fingerprint
  }

  async emulates(): Promise<boolean> {
    return !(await this.#candidates()).includes('kvm')
  }

  /** What a kernel has not written yet to a disk that is kept must not be lost. */
  override async destroy(id: MachineId): Promise<void> {
    const { prepared } = await this.opened()
    const process = await this.#qemu.launcher.get(recordOf(prepared, id))
    await settleDisk({ prepared, driver: this.name }, id, process).catch(() => undefined)
    await super.destroy(id)
  }

  protected override proofFacts(): ProofFacts {
    const accelerator = this.#proving.getStore() ?? 'tcg'
    return {
      name: `-${accelerator}`,
      native: accelerator === 'kvm',
      deadlineMs: PROOF_MS[accelerator],
      programs: this.#programs,
      details: this.#details,
    }
  }

  protected override async lowerOf(
    id: MachineId,
    spec: MachineSpec,
    disk: DiskForm,
    context: CreateContext,
  ): Promise<Lower> {
    const { prepared } = await this.opened()
    this.#version = prepared.tool.version
    this.#tscKhz ??= await hostTscKhz()
    if (this.#proving.getStore() === undefined && this.#accelerator === undefined) {
      // Which one runs machines here is found out, never guessed.
      const fingerprint = await this.fingerprint(context.signal)
      if (!fingerprint.proven) {
        throw new CoveError('isolation-unavailable', fingerprint.reason, {}, { fix: fingerprint.fix })
      }
    }
    if (this.#cpu === '') this.#cpu = await hostCpu()
    const lower = await super.lowerOf(id, spec, disk, context)
    if (spec.from.kind !== 'snapshot') return lower
    const from = { ...lower, spec: { ...lower.spec, from: spec.from.root } }
    // A disk that has gone on without its memory is one to start from anew.
    if (disk.kind !== 'absent' || lower.note.vm === undefined) return from
    const snapshots = this.#savedMachines()
    const { makeImage } = await snapshots.take(spec.from.id, id, lower.note.vm, spec.limits, context.signal)
    return { ...from, note: { ...lower.note, snapshot: spec.from.id }, makeImage }
  }

  protected override vmFacts(): Pick<VmNote, 'accelerator' | 'monitor' | 'cpu'> {
    const accelerator = this.#using()
    return { accelerator, monitor: this.#version, cpu: accelerator === 'tcg' ? EMULATED_CPU : this.#cpu }
  }

  /** More than one make an emulated machine slower: they take turns. */
  protected override cpusOf({ limits }: MachineSpec, system: GuestSystem): number {
    if (this.#using() === 'tcg' || !system.has.smp) return 1
    return Math.min(availableParallelism(), Math.max(1, Math.ceil(limits.cpus?.value ?? 1)))
  }

  protected override processSpec(request: MachineRequest): HostProcessSpec {
    return qemuProcessSpec({
      ...request,
      ...this.takePlan(request.id),
      bwrap: this.#tool.bwrap(),
      accelerator: this.#using(),
      kvmDevice: this.#kvmDevice,
      tscKhz: this.#tscKhz,
      saved: this.#snapshots?.groundOf(request.id)?.memory,
    })
  }

  protected override machineOf(of: MachineOf, parts: LaunchedMachineParts): Machine {
    const { layersProgram } = this.#qemu
    const snapshots = this.#snapshots
    if (snapshots === undefined || layersProgram === undefined) return new QemuMachine(of, parts)
    return new SavableQemuMachine(of, parts, {
      layersProgram,
      store: () => snapshots.store(),
      packDisk: (image, context) => this.#packDisk(layersProgram, of, image, context),
    })
  }

  /** What goes on from a memory must not take itself for the one that was saved. */
  protected override async started(machine: Machine, context: CreateContext): Promise<void> {
    await super.started(machine, context)
    const ground = this.#snapshots?.groundOf(machine.id)
    if (ground === undefined || !(machine instanceof SavableQemuMachine)) return
    context.progress('giving the machine its identity')
    await machine.becomeAnother(this.#random.bytes(ENTROPY_BYTES), context.signal)
    this.#snapshots?.made(machine.id)
  }

  protected override async released(id: MachineId): Promise<void> {
    await super.released(id)
    await this.#snapshots?.release(id)
  }

  override async *recover(): AsyncIterable<Recovered> {
    await this.#snapshots?.store()
    yield* super.recover()
  }

  async listSnapshots(): Promise<readonly SnapshotId[]> {
    return (await this.#snapshots?.store())?.list() ?? []
  }

  async removeSnapshot(id: SnapshotId): Promise<void> {
    await (await this.#snapshots?.store())?.remove(id)
  }

  override async close(): Promise<void> {
    await super.close()
    await this.#snapshots?.[Symbol.asyncDispose]()
  }

  #savedMachines(): QemuSnapshots {
    if (this.#snapshots !== undefined) return this.#snapshots
    throw new CoveError('unsupported', 'the program for layers is not there', {}, { fix: 'Run `cove setup`.' })
  }

  async #packDisk(layersProgram: string, { note }: MachineOf, image: string, context: CreateContext): Promise<Packed> {
    const { prepared, ranges } = await this.opened()
    const { launcher } = this.#qemu
    // What others have left is removed before there is one of ours.
    await this.#snapshots?.store()
    const [system, program] = [await this.system(context.signal), prepared.tool.program]
    if (system === undefined || program === undefined) {
      throw new CoveError('isolation-unavailable', NO_KERNEL.reason, {}, { fix: NO_KERNEL.fix })
    }
    const base = note.slot === undefined ? undefined : ranges.baseOf(note.slot)
    const spec = qemuPackSpec({
      prepared,
      program,
      bwrap: this.#tool.bwrap(),
      system,
      accelerator: this.#using(),
      kvmDevice: this.#kvmDevice,
      tscKhz: this.#tscKhz,
      base,
      cgroups: ({ id }) => machineCgroups(prepared, id, { limits: PACK_LIMITS }),
    })
    return await packDisk({ launcher, random: this.#random, layersProgram, prepared, base }, image, spec, context)
  }

  async #openSnapshots(): Promise<readonly LaunchedRecord[]> {
    const { prepared } = await this.opened()
    await removePacks(prepared)
    return await launchedRecords(this.#qemu.launcher, this.name, this.#tool.recordPrefix, this.#qemu.log ?? silentLog)
  }

  async #goOn({ note }: LaunchedRecord): Promise<void> {
    const { prepared } = await this.opened()
    const signal = AbortSignal.timeout(ANSWER_MS)
    await using client = await QmpClient.open(await connectSocket(monitorOf(prepared, note.machine), signal), signal)
    await client.execute('cont', {}, signal)
  }

  #using(): Accelerator {
    return this.#proving.getStore() ?? this.#accelerator ?? 'tcg'
  }

  /** In the order of their speed. One that has run nothing since the host was started is not tried again. */
  async #candidates(): Promise<readonly Accelerator[]> {
    if (this.#accelerator !== undefined) return [this.#accelerator]
    await this.opened().catch(() => undefined)
    const known = await readFile(this.#noKvm(), 'utf8').catch(() => '')
    if (known === (await noKvmKey())) return ['tcg']
    this.#kvmDevice = await kvmDevice(this.#qemu.stateDir).catch(() => undefined)
    return this.#kvmDevice === undefined ? ['tcg'] : ['kvm', 'tcg']
  }

  #noKvm(): string {
    return join(this.#qemu.stateDir, 'no-kvm')
  }
}

/** A processor that hangs is not waited for as long as one that is slow. */
const PROOF_MS = { kvm: 10_000, tcg: 45_000 } as const satisfies Record<Accelerator, number>
const ACCELERATORS = { kvm: 'KVM', tcg: 'none: software emulation (TCG)' } as const satisfies Record<
  Accelerator,
  string
>

const noKvmKey = (): Promise<string> => readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '?')
