import { join } from 'node:path'
import type { MachineId, MachineSpec } from '@cove/domain'
import type { CgroupPlan } from '../cgroups/plan.ts'
import { GUEST_PATH } from '../host-template/skeleton.ts'
import { KEPT_CAPABILITIES } from '../launched/capabilities.ts'
import { AGENT_PATH } from '../launched/stage.ts'

/** Where the agent listens inside. The folder is memory, and only root can write to it. */
export const SOCKET_FOLDER = '/run'
export const SOCKET_NAME = '.cove-socket'

export interface RuntimeRequest {
  readonly id: MachineId
  readonly spec: MachineSpec
  /** The guest program on the host. */
  readonly guestProgram: string
  /** Folder of the host with files of the machine's `/etc`. */
  readonly etcFolder: string
  readonly etc: readonly string[]
  readonly cgroups: CgroupPlan
  /** The machine's cgroup, the same in every tree. */
  readonly cgroupsPath: string | undefined
  readonly seccomp?: unknown
}

const WORKLOAD_OOM_SCORE_ADJ = 500
const DEFAULT_TMP_BYTES = 1024 * 1024 * 1024
const MIN_TMP_BYTES = 8 * 1024 * 1024
const RUN_BYTES = 16 * 1024 * 1024
const WORK_PATH = '/run/.cove-work-'
const OOM_PATH = '/run/.cove-oom'
const ETC_PATH = '/run/.cove-etc'

const MASKED = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
]
const READ_ONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

/** The OCI runtime configuration of a machine (https://github.com/opencontainers/runtime-spec). */
export function runtimeSpec(request: RuntimeRequest): unknown {
  const { spec, cgroupsPath, seccomp } = request
  const capabilities = [...KEPT_CAPABILITIES]
  return {
    ociVersion: '1.0.2',
    hostname: spec.hostname,
    root: { path: 'rootfs', readonly: false },
    process: {
      user: { uid: 0, gid: 0 },
      args: [AGENT_PATH, ...agentArguments(request)],
      env: [`PATH=${GUEST_PATH}`, 'LANG=C.UTF-8'],
      cwd: '/',
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: true,
      // A crash inside must not run the host's handler for core dumps.
      rlimits: [{ type: 'RLIMIT_CORE', soft: 0, hard: 0 }],
    },
    mounts: [...systemMounts(tmpBytes(spec)), ...ownMounts(request), ...volumeMounts(spec)],
    linux: {
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'network', 'cgroup'].map((type) => ({ type })),
      ...(cgroupsPath === undefined ? {} : { cgroupsPath }),
      // The limits are in the cgroups already, which are there before the runtime joins them.
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      maskedPaths: MASKED,
      readonlyPaths: READ_ONLY,
      ...(seccomp === undefined ? {} : { seccomp }),
      rootfsPropagation: 'rprivate',
    },
  }
}

function agentArguments({ cgroups, etc }: RuntimeRequest): readonly string[] {
  return [
    'agent',
    '--listen',
    join(SOCKET_FOLDER, SOCKET_NAME),
    ...cgroups.workloadJoin.flatMap((_, index) => ['--workload-cgroup', `${WORK_PATH}${index}`]),
    '--workload-oom-score-adj',
    `${WORKLOAD_OOM_SCORE_ADJ}`,
    ...(cgroups.files.workloadOom === undefined ? [] : ['--oom-events', OOM_PATH]),
    ...etc.flatMap((name) => ['--etc', `${name}:${ETC_PATH}/${name}`]),
  ]
}

function ownMounts({ guestProgram, etcFolder, cgroups }: RuntimeRequest): readonly unknown[] {
  const { workloadOom } = cgroups.files
  return [
    show(guestProgram, AGENT_PATH, 'ro'),
    show(etcFolder, ETC_PATH, 'ro', 'noexec'),
    // All that can be done with it is to put a process of the machine under the machine's limits.
    ...cgroups.workloadJoin.map((path, index) => show(path, `${WORK_PATH}${index}`, 'rw', 'noexec')),
    ...(workloadOom === undefined ? [] : [show(workloadOom, OOM_PATH, 'ro', 'noexec')]),
  ]
}

function volumeMounts({ volumes = [] }: MachineSpec): readonly unknown[] {
  return volumes.map(({ source, target, readOnly }) => ({
    destination: target,
    type: 'bind',
    source,
    options: ['rbind', 'nosuid', 'nodev', 'rprivate', readOnly ? 'ro' : 'rw'],
  }))
}

function show(source: string, destination: string, ...options: readonly string[]): unknown {
  return { destination, type: 'bind', source, options: ['bind', 'nosuid', 'nodev', ...options] }
}

function mount(destination: string, type: string, ...options: readonly string[]): unknown {
  return { destination, type, source: type, options }
}

function systemMounts(tmp: number): readonly unknown[] {
  const memory = ['nosuid', 'nodev']
  return [
    mount('/proc', 'proc', 'nosuid', 'noexec', 'nodev'),
    mount('/dev', 'tmpfs', 'nosuid', 'strictatime', 'mode=755', 'size=65536k'),
    mount('/dev/pts', 'devpts', 'nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'),
    mount('/dev/shm', 'tmpfs', ...memory, 'noexec', 'mode=1777', `size=${Math.floor(tmp / 2)}`),
    mount('/dev/mqueue', 'mqueue', 'nosuid', 'noexec', 'nodev'),
    mount('/sys', 'sysfs', 'nosuid', 'noexec', 'nodev', 'ro'),
    mount('/tmp', 'tmpfs', ...memory, 'mode=1777', `size=${tmp}`),
    mount(SOCKET_FOLDER, 'tmpfs', ...memory, 'mode=755', `size=${RUN_BYTES}`),
  ]
}

/** `/tmp` is memory: half of what the machine may use, so that a full one is an error and not the end. */
function tmpBytes(spec: MachineSpec): number {
  const memory = spec.limits.memoryBytes?.value
  return memory === undefined ? DEFAULT_TMP_BYTES : Math.max(MIN_TMP_BYTES, Math.floor(memory / 2))
}
