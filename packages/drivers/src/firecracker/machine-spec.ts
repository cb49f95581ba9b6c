import { statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CoveError, type MachineId } from '@cove/domain'
import type { HostProcessSpec, MountSpec } from '@cove/runner'
import { etcOf, recordOf, type MachineRequest } from '../launched/machine-spec.ts'
import type { Prepared } from '../launched/prepare.ts'
import { bootConfig } from '../microvm/boot-config.ts'
import { partsOf } from '../microvm/saved-vm.ts'
import type { VmPlan } from '../microvm/vm-driver.ts'
import { jailerArgv, jailRoot } from './jailer.ts'

export interface FirecrackerRequest extends MachineRequest, VmPlan {
  readonly jailer: string
  readonly bwrap: string
  readonly places: JailPlaces
  /** Folder of the snapshot that it goes on from; absent: it starts. */
  readonly saved?: string
}

/** Folders of the host, each with one for every machine. */
export interface JailPlaces {
  readonly jails: string
  /** What Firecracker writes of a machine that is saved; on the disk of the snapshots. */
  readonly saves: string
}

/** Paths as Firecracker sees them. A saved machine has them in it, so they are the same for all. */
export const INSIDE = {
  kernel: '/kernel',
  initrd: '/initrd',
  root: '/root.erofs',
  disk: '/disk',
  config: '/config',
  api: '/run/a',
  vsock: '/run/v',
  save: { state: '/save/state', memory: '/save/memory' },
  saved: { state: '/saved.state', memory: '/saved.memory' },
} as const

/** Ports of the guest, which it listens at. */
export const STREAM_PORT = 1024
export const CONTROL_PORT = 1025

/** The rights are the jailer's, which gives them up with its user. */
const NAMESPACES =
  '--unshare-pid --unshare-ipc --unshare-uts --unshare-net --as-pid-1 --cap-add ALL --dev-bind / / --proc /proc'.split(
    ' ',
  )
const OPEN_FILES = 1024
/** What one file may be larger than the disk or the memory: state, and rounding. */
const FILE_SLACK = 64 * 1024 * 1024

const runFolder = ({ folders }: Prepared, id: MachineId): string => join(folders.machines, id, 'r')
export const apiOf = (prepared: Prepared, id: MachineId): string => join(runFolder(prepared, id), 'a')
export const vsockOf = (prepared: Prepared, id: MachineId): string => join(runFolder(prepared, id), 'v')

/**
 * All that the launcher is asked to do for one machine, in one request. Its namespaces are bubblewrap's, for the jailer
 * would end where Firecracker is the first process of one; folder, user, devices and limits are the jailer's.
 */
export function firecrackerProcessSpec(request: FirecrackerRequest): HostProcessSpec {
  const { prepared, program, id, spec, writable, base, cgroups, system, places, saved } = request
  if (writable.kind !== 'image') throw new CoveError('internal', 'the disk of a virtual machine is no image')
  if (base === undefined) {
    throw new CoveError('isolation-unavailable', NEEDS_ROOT.reason, {}, { fix: NEEDS_ROOT.fix })
  }
  const folder = join(prepared.folders.machines, id)
  const [jail, save] = [join(places.jails, id), join(places.saves, id)]
  const root = jailRoot({ base: jail, firecracker: program, id })
  const config = bootConfig({
    mode: 'machine',
    hostname: spec.hostname,
    root: 'erofs',
    tmpBytes: Math.floor(request.memoryBytes / 2),
    etc: etcOf(spec),
    volumes: [],
    ...(request.processes === undefined ? {} : { processes: request.processes }),
    stream: STREAM_PORT,
    control: CONTROL_PORT,
  })
  const show = (source: string, inside: string, readOnly: boolean): MountSpec => ({
    kind: 'bind',
    source,
    target: root + inside,
    readOnly,
  })
  const fileBytes = Math.max(request.memoryBytes, statSync(writable.image).size) + FILE_SLACK
  return {
    id: recordOf(prepared, id),
    owner: 'durable',
    note: request.note,
    argv: [
      request.bwrap,
      ...NAMESPACES,
      '--',
      ...jailerArgv({
        jailer: request.jailer,
        firecracker: program,
        id,
        uid: base,
        gid: base,
        base: jail,
        limits: { fileBytes, openFiles: OPEN_FILES },
        arguments: ['--api-sock', INSIDE.api],
      }),
    ],
    env: { PATH: '/usr/bin', LANG: 'C.UTF-8' },
    stdio: 'held',
    folders: [
      { path: folder, mode: 0o700 },
      // Nobody else gets as far as here.
      { path: runFolder(prepared, id), mode: 0o777 },
      ...[jail, dirname(dirname(root)), dirname(root), root].map((path) => ({ path, mode: 0o700 })),
      { path: save, mode: 0o777 },
    ],
    cgroups: cgroups.cgroups,
    mounts: [
      show(system.kernel, INSIDE.kernel, true),
      show(system.initrd, INSIDE.initrd, true),
      show(request.rootFile, INSIDE.root, true),
      show(writable.image, INSIDE.disk, false),
      show(runFolder(prepared, id), '/run', false),
      show(save, '/save', false),
      ...(saved === undefined
        ? []
        : [show(partsOf(saved).state, INSIDE.saved.state, true), show(partsOf(saved).ram, INSIDE.saved.memory, true)]),
    ],
    writes: [{ path: root + INSIDE.config, text: config }],
    // A crash must not run the host's handler for core dumps, with the machine's memory in its hands.
    rlimits: [{ name: 'core', soft: 0, hard: 0 }],
    removeOnDestroy: [folder, jail, save, ...(spec.disk === undefined ? [join(prepared.folders.scratch, id)] : [])],
  }
}

export const NEEDS_ROOT = {
  reason: "Firecracker's jailer needs root",
  fix: 'Run Cove as root.',
} as const
