import { AsyncLocalStorage } from 'node:async_hooks'
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import {
  CoveError,
  type CreateContext,
  type Driver,
  type Fingerprint,
  type KeepsDisks,
  type Machine,
  type MachineId,
  type MachineSpec,
} from '@cove/domain'
import type { HostProcessSpec } from '@cove/runner'
import type { DiskForm } from '../host/disk-store.ts'
import type { Lower, MachineOf, ProofFacts } from '../launched/driver.ts'
import type { LaunchedMachineParts } from '../launched/launched-machine.ts'
import type { MachineRequest } from '../launched/machine-spec.ts'
import type { GuestSystem } from '@cove/guest-system'
import { hostTscKhz } from '../microvm/kernel-command-line.ts'
import { NO_KERNEL, VmDriver, type VmOptions } from '../microvm/vm-driver.ts'
import { kvmDevice } from './kvm-device.ts'
import { qemuProcessSpec } from './machine-spec.ts'
import type { Accelerator } from './qemu-command.ts'
import { QemuMachine } from './qemu-machine.ts'
import { qemuTool, type QemuTool } from './tool.ts'

export interface QemuOptions extends VmOptions {
  /** Path of QEMU. Default: found in the system's program folders. */
  readonly qemu?: string
  /** Path of bubblewrap. Default: found in the system's program folders. */
  readonly bwrap?: string
}

export type QemuDriver = Driver & KeepsDisks

/** Virtual machines by QEMU: at native speed where KVM really runs one, else by software emulation, and it says which. */
export function createQemuDriver(options: QemuOptions): QemuDriver {
  return new QemuVmDriver(options, qemuTool(options))
}

class QemuVmDriver extends VmDriver {
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
    return super.lowerOf(id, spec, disk, context)
  }

  protected override vmFacts(): { readonly accelerator: Accelerator; readonly monitor: string } {
    return { accelerator: this.#using(), monitor: this.#version }
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
    })
  }

  protected override machineOf(of: MachineOf, parts: LaunchedMachineParts): Machine {
    return new QemuMachine(of, parts)
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
