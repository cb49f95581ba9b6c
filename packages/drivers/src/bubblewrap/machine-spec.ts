import { join } from 'node:path'
import type { MachineId, MachineSpec } from '@cove/domain'
import type { HostProcessSpec, MountSpec } from '@cove/runner'
import { planCgroups, type CgroupPlan } from '../cgroups/plan.ts'
import type { MachineNote } from '../host/machine-note.ts'
import { GUEST_PATH, USER_ID } from '../host-template/skeleton.ts'
import { AGENT_PATH, bwrapArgv, CAPABILITIES, STAGE } from './argv.ts'
import { LAYER_FOLDERS } from './disk-image.ts'
import { RANGE_SIZE } from './id-ranges.ts'
import type { Prepared } from './prepare.ts'
import type { Writable } from './writable.ts'

export interface MachineRequest {
  readonly prepared: Prepared
  /** Path of bwrap. */
  readonly bwrap: string
  readonly id: MachineId
  readonly spec: MachineSpec
  readonly writable: Writable
  /** First of the machine's user ids on the host; undefined where there is only the caller's own. */
  readonly base: number | undefined
  readonly note: string
  readonly cgroups: CgroupPlan
  /** Record of the host process that keeps its network, and files of `/etc` that go with it. */
  readonly network?: { readonly record: string; readonly etc: Readonly<Record<string, string>> } | undefined
}

export const RECORD_PREFIX = 'bwrap-'
export const recordOf = (id: MachineId): string => `${RECORD_PREFIX}${id}`
export const socketOf = (prepared: Prepared, id: MachineId): string => join(prepared.folders.machines, id, 's')

/** Where the image of a machine is, if it has one. */
export function imageOf(prepared: Prepared, { machine, disk }: Pick<MachineNote, 'machine' | 'disk'>): string {
  const { scratch, disks } = prepared.folders
  return disk === undefined ? join(scratch, machine, 'disk.img') : join(disks, disk, 'disk.img')
}

const SOCKET_FD = 3
const SECCOMP_FD = 4
const OOM_FD = 5
const FIRST_JOIN_FD = 6
const FIRST_ETC_FD = 200
const WORKLOAD_OOM_SCORE_ADJ = 500
/** What the agent keeps, and with it whatever it starts. */
const KEPT = CAPABILITIES.filter((name) => name !== 'CAP_SETPCAP')
const DEFAULT_TMP_BYTES = 1024 * 1024 * 1024
const MIN_TMP_BYTES = 8 * 1024 * 1024
const RUN_BYTES = 16 * 1024 * 1024
const ROOT = `${STAGE}/root`

/** All that the launcher is asked to do for one machine, in one request. */
export function hostProcessSpec(request: MachineRequest): HostProcessSpec {
  const { prepared, id, spec, writable, base, cgroups } = request
  const oomEvents = cgroups.files.workloadOom
  const folder = join(prepared.folders.machines, id)
  const scratch = join(prepared.folders.scratch, id)
  const mapped = base !== undefined
  const owner = mapped ? ({ owner: 'mapped-root' } as const) : {}
  const writableAt = writable.kind === 'folder' ? writable.path : `${STAGE}/disk`
  const layers = spec.from.kind === 'layers' ? spec.from.lower : undefined
  const { template } = prepared
  const etc = Object.entries(request.network?.etc ?? {}).map(([name, text], index) => ({
    name,
    text,
    fd: FIRST_ETC_FD + index,
  }))

  const overlay = (target: string, lower: readonly string[], upper: string, work: string): MountSpec => ({
    kind: 'overlay',
    lower,
    upper: join(writableAt, upper),
    work: join(writableAt, work),
    target,
    mapped,
  })
  const [rootUpper, rootWork, usrUpper, usrWork] = LAYER_FOLDERS

  return {
    id: recordOf(id),
    owner: 'durable',
    note: request.note,
    argv: bwrapArgv({
      bwrap: request.bwrap,
      ids: mapped ? 'range' : { self: USER_ID },
      hostname: spec.hostname,
      hasNetwork: request.network !== undefined,
      seccompFd: SECCOMP_FD,
      agent: [
        'agent',
        '--listen-fd',
        `${SOCKET_FD}`,
        ...cgroups.workloadJoin.flatMap((_, index) => ['--workload-cgroup-fd', `${FIRST_JOIN_FD + index}`]),
        '--workload-oom-score-adj',
        `${WORKLOAD_OOM_SCORE_ADJ}`,
        ...(oomEvents === undefined ? [] : ['--oom-event-fd', `${OOM_FD}`]),
        ...(mapped ? ['--drop-bounding-set', KEPT.join(',')] : []),
        ...etc.flatMap(({ name, fd }) => ['--etc', `${name}:${fd}`]),
      ],
    }),
    env: { PATH: GUEST_PATH, LANG: 'C.UTF-8' },
    stdio: 'held',
    folders: [
      { path: folder, mode: 0o700 },
      ...(writable.kind === 'folder' && !writable.exists
        ? [
            { path: writable.path, mode: 0o700 },
            ...LAYER_FOLDERS.map((name) => ({ path: join(writable.path, name), mode: 0o755, ...owner })),
          ]
        : []),
    ],
    listen: [{ fd: SOCKET_FD, path: socketOf(prepared, id), mode: 0o600 }],
    blobs: [
      { fd: SECCOMP_FD, data: prepared.seccomp },
      ...etc.map(({ fd, text }) => ({ fd, data: Buffer.from(text) })),
    ],
    files: [
      ...(oomEvents === undefined ? [] : [{ fd: OOM_FD, path: oomEvents, write: false }]),
      ...cgroups.workloadJoin.map((path, index) => ({ fd: FIRST_JOIN_FD + index, path, write: true })),
    ],
    cgroups: cgroups.cgroups,
    ...(request.network === undefined ? {} : { networkOf: request.network.record }),
    userNamespace: mapped
      ? { kind: 'range', base, count: RANGE_SIZE }
      : // Root of its own namespace, so that bwrap may mount; bwrap makes the machine's user inside of that.
        { kind: 'self', uid: 0, gid: 0 },
    mounts: [
      { kind: 'bind', source: prepared.folders.stage, target: STAGE, readOnly: false },
      ...diskMount(writable),
      overlay(ROOT, layers ?? [template.root], rootUpper, rootWork),
      ...(layers === undefined
        ? hostFolders(overlay(`${STAGE}/usr`, [template.usr, '/usr'], usrUpper, usrWork), template.unmerged)
        : []),
      ...volatile(tmpBytes(spec)),
    ],
    // bwrap forbids nested user namespaces itself where it makes one.
    writes: mapped ? [{ path: '/proc/sys/user/max_user_namespaces', text: '0' }] : [],
    // A crash inside must not run the host's handler for core dumps.
    rlimits: [{ name: 'core', soft: 0, hard: 0 }],
    removeOnDestroy: spec.disk === undefined ? [folder, scratch] : [folder],
  }
}

export function machineCgroups(prepared: Prepared, id: MachineId, spec: Pick<MachineSpec, 'limits'>): CgroupPlan {
  return planCgroups(prepared.hierarchies, id, spec.limits)
}

function diskMount(writable: Writable): readonly MountSpec[] {
  const target = `${STAGE}/disk`
  if (writable.kind === 'image') return [{ kind: 'image', image: writable.image, target }]
  if (writable.kind === 'memory') return [{ kind: 'tmpfs', target, sizeBytes: writable.bytes, mode: 0o755 }]
  return []
}

/**
 * The host's own folders, `/usr` under a layer of the machine's own, others as they are. The stack of `/usr` is made
 * beside the root, so that the layers under it are not taken along.
 */
function hostFolders(usr: MountSpec, others: readonly string[]): readonly MountSpec[] {
  return [usr, show(usr.target, '/usr', false), ...others.map((path) => show(path, path, true))]
}

function show(source: string, path: string, readOnly: boolean): MountSpec {
  return { kind: 'bind', source, target: `${ROOT}${path}`, readOnly }
}

/** What a machine has in memory: it is gone with the machine. */
function volatile(size: number): readonly MountSpec[] {
  return [
    { kind: 'tmpfs', target: `${ROOT}/tmp`, sizeBytes: size, mode: 0o1777 },
    { kind: 'tmpfs', target: `${ROOT}/run`, sizeBytes: RUN_BYTES, mode: 0o755 },
    { kind: 'bind', source: `${STAGE}/program`, target: `${ROOT}${AGENT_PATH}`, readOnly: true },
    { kind: 'devices', target: `${STAGE}/dev` },
    { kind: 'tmpfs', target: `${STAGE}/dev/shm`, sizeBytes: Math.floor(size / 2), mode: 0o1777 },
  ]
}

/** `/tmp` is memory: half of what the machine may use, so that a full one is an error and not the end. */
function tmpBytes(spec: MachineSpec): number {
  const memory = spec.limits.memoryBytes?.value
  return memory === undefined ? DEFAULT_TMP_BYTES : Math.max(MIN_TMP_BYTES, Math.floor(memory / 2))
}
