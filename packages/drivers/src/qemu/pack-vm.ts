import type { GuestSystem } from '@cove/guest-system'
import type { CgroupPlan } from '../cgroups/plan.ts'
import { RANGE_SIZE } from '../launched/id-ranges.ts'
import type { Prepared } from '../launched/prepare.ts'
import { bootConfig } from '../microvm/boot-config.ts'
import { confined } from '../microvm/confinement.ts'
import { kernelCommandLine } from '../microvm/kernel-command-line.ts'
import type { PackPlace, PackSpec } from '../microvm/pack-disk.ts'
import { qemuPackArgv, type Accelerator } from './qemu-command.ts'

export interface PackRequest {
  readonly prepared: Prepared
  readonly program: string
  readonly bwrap: string
  readonly system: GuestSystem
  readonly accelerator: Accelerator
  readonly kvmDevice: string | undefined
  readonly tscKhz: number | undefined
  readonly base: number | undefined
  /** Limits of its own. */
  readonly cgroups: (place: PackPlace) => CgroupPlan
}

const PACK_FD = 3
/** What the kernel and the program for layers need, whatever is on the disk. */
export const PACK_MEMORY_BYTES = 256 * 1024 * 1024

/** A machine that reads one disk, as well confined as the one that the disk is of. */
export function qemuPackSpec(request: PackRequest): PackSpec {
  const { prepared, system, accelerator, base } = request
  const mapped = base !== undefined
  const config = bootConfig({
    mode: 'pack',
    hostname: 'pack',
    root: 'erofs',
    tmpBytes: 0,
    etc: {},
    volumes: [],
    stream: 'port',
    control: 'port',
  })
  const argv = qemuPackArgv({
    program: request.program,
    accelerator,
    acpi: system.acpi,
    memoryBytes: PACK_MEMORY_BYTES,
    kernel: '/kernel',
    initrd: '/initrd',
    append: kernelCommandLine({ emulated: accelerator === 'tcg', tscKhz: request.tscKhz }),
    disks: [
      { path: '/disk', readOnly: false },
      { path: '/config', readOnly: true },
    ],
    packFd: PACK_FD,
  })
  return (place) => ({
    ...confined({
      stage: prepared.folders.stage,
      bwrap: request.bwrap,
      argv,
      unmerged: prepared.template.unmerged,
      files: [
        { name: 'kernel', source: system.kernel, readOnly: true },
        { name: 'initrd', source: system.packInitrd, readOnly: true },
        { name: 'disk', source: place.disk, readOnly: false },
      ],
      volumes: [],
      texts: [{ name: 'config', text: config }],
      devices: accelerator === 'kvm' ? [{ name: 'dev/kvm', source: request.kvmDevice ?? '/dev/kvm' }] : [],
      hasNetwork: false,
      mapped,
    }),
    stdio: 'held',
    listen: [{ fd: PACK_FD, path: place.socket, mode: 0o600 }],
    cgroups: request.cgroups(place).cgroups,
    userNamespace: mapped ? { kind: 'range', base, count: RANGE_SIZE } : { kind: 'self', uid: 0, gid: 0 },
  })
}
