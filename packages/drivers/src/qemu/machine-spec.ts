import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { CoveError, type MachineId } from '@cove/domain'
import type { HostProcessSpec } from '@cove/runner'
import type { FifoPaths } from '../launched/fifo-stream.ts'
import { etcOf, recordOf, type MachineRequest } from '../launched/machine-spec.ts'
import { RANGE_SIZE } from '../launched/id-ranges.ts'
import type { Prepared } from '../launched/prepare.ts'
import { bootConfig } from '../microvm/boot-config.ts'
import { confined, PIPES } from '../microvm/confinement.ts'
import { kernelCommandLine } from '../microvm/kernel-command-line.ts'
import type { VmPlan } from '../microvm/vm-driver.ts'
import { qemuArgv, type Accelerator } from './qemu-command.ts'

export interface QemuRequest extends MachineRequest, VmPlan {
  readonly bwrap: string
  readonly accelerator: Accelerator
  /** Where the processor is to be found, in place of the host's own device. */
  readonly kvmDevice?: string | undefined
  readonly tscKhz: number | undefined
  /** What it goes on from; absent: it starts. */
  readonly saved?: SavedMemory | undefined
}

/** Of a saved machine, by what the launcher opens. */
export interface SavedMemory {
  /** A file in memory that nobody can change: QEMU opens its file for writing, and maps it for itself. */
  readonly ram: string
  readonly state: string
}

const MONITOR_FD = 3
const CONTROL_FD = 4
const ROOT_FD = 5
const STATE_FD = 6
const RAM_FD = 7
/** Where QEMU writes its state, as it sees it. */
export const STATE = `/${PIPES}/state`
/** Nothing outside answers there: the rules deny it, so that nothing real hides behind it. */
const SUBNET = {
  network: '198.19.254.0/24',
  host: '198.19.254.2',
  resolver: '198.19.254.3',
  guest: '198.19.254.15',
} as const

/** As QEMU sees them. */
const GUEST_PIPES = `/${PIPES}/guest`
/** The pipes of the guest stream, where only the machine's process has them. */
export const pipesOf = (qemuPid: number): FifoPaths => ({
  stdin: `/proc/${qemuPid}/root${GUEST_PIPES}.in`,
  stdout: `/proc/${qemuPid}/root${GUEST_PIPES}.out`,
})
export const monitorOf = ({ folders }: Prepared, id: MachineId): string => join(folders.machines, id, 'q')
export const controlOf = ({ folders }: Prepared, id: MachineId): string => join(folders.machines, id, 'c')

/** Of its own for every machine; the bit that says so is set. */
export function macOf(id: MachineId): string {
  const bytes = createHash('sha256').update(id).digest().subarray(0, 5)
  return ['02', ...[...bytes].map((byte) => byte.toString(16).padStart(2, '0'))].join(':')
}

/** All that the launcher is asked to do for one machine, in one request. */
export function qemuProcessSpec(request: QemuRequest): HostProcessSpec {
  const { prepared, program, id, spec, writable, base, cgroups, network, system, accelerator, saved } = request
  if (writable.kind !== 'image') throw new CoveError('internal', 'the disk of a virtual machine is no image')
  const folder = join(prepared.folders.machines, id)
  const scratch = join(prepared.folders.scratch, id)
  const volumes = (spec.volumes ?? []).map((volume, index) => ({ ...volume, name: `volume${index}`, tag: `v${index}` }))
  const mac = macOf(id)
  const etc = etcOf(spec, network?.etc)
  const config = bootConfig({
    mode: 'machine',
    hostname: spec.hostname,
    root: 'erofs',
    tmpBytes: Math.floor(request.memoryBytes / 2),
    etc: network === undefined ? etc : { ...etc, 'resolv.conf': `nameserver ${SUBNET.resolver}\n` },
    ...(network === undefined ? {} : { net: { mac, address: `${SUBNET.guest}/24`, gateway: SUBNET.host } }),
    volumes: volumes.map(({ tag, readOnly, target }) => ({ tag, kind: '9p', readOnly, target })),
    ...(request.processes === undefined ? {} : { processes: request.processes }),
    stream: 'port',
    control: 'port',
  })
  const argv = qemuArgv({
    program,
    pipes: GUEST_PIPES,
    accelerator,
    acpi: system.acpi,
    memoryBytes: request.memoryBytes,
    cpus: request.cpus,
    ram: saved === undefined ? 'shared' : { private: `/proc/self/fd/${RAM_FD}` },
    kernel: '/kernel',
    initrd: '/initrd',
    append: kernelCommandLine({ emulated: accelerator === 'tcg', tscKhz: request.tscKhz }),
    disks: [
      { fd: ROOT_FD, readOnly: true },
      { path: '/disk', readOnly: false },
      { path: '/config', readOnly: true },
    ],
    monitorFd: MONITOR_FD,
    controlFd: CONTROL_FD,
    ...(network === undefined ? {} : { net: { mac, subnet: SUBNET } }),
    volumes: volumes.map(({ tag, name, readOnly }) => ({ tag, path: `/${name}`, readOnly })),
    ...(saved === undefined ? {} : { incoming: `fd:${STATE_FD}` }),
  })
  const mapped = base !== undefined
  return {
    ...confined({
      stage: prepared.folders.stage,
      bwrap: request.bwrap,
      argv,
      unmerged: prepared.template.unmerged,
      files: [
        { name: 'kernel', source: system.kernel, readOnly: true },
        { name: 'initrd', source: system.initrd, readOnly: true },
        { name: 'disk', source: writable.image, readOnly: false },
      ],
      volumes,
      texts: [
        { name: 'config', text: config },
        ...Object.entries(network?.etc ?? {})
          .filter(([name]) => name === 'resolv.conf')
          .map(([name, text]) => ({ name: `etc/${name}`, text })),
      ],
      devices: accelerator === 'kvm' ? [{ name: 'dev/kvm', source: request.kvmDevice ?? '/dev/kvm' }] : [],
      hasNetwork: network !== undefined,
      mapped,
    }),
    id: recordOf(prepared, id),
    owner: 'durable',
    note: request.note,
    stdio: 'held',
    folders: [{ path: folder, mode: 0o700 }],
    listen: [
      { fd: MONITOR_FD, path: monitorOf(prepared, id), mode: 0o600 },
      { fd: CONTROL_FD, path: controlOf(prepared, id), mode: 0o600 },
    ],
    files: [
      { fd: ROOT_FD, path: request.rootFile, write: false },
      ...(saved === undefined
        ? []
        : [
            { fd: STATE_FD, path: saved.state, write: false },
            { fd: RAM_FD, path: saved.ram, write: true },
          ]),
    ],
    cgroups: cgroups.cgroups,
    ...(request.network === undefined ? {} : { networkOf: request.network.record }),
    userNamespace: mapped ? { kind: 'range', base, count: RANGE_SIZE } : { kind: 'self', uid: 0, gid: 0 },
    removeOnDestroy: spec.disk === undefined ? [folder, scratch] : [folder],
  }
}
