import { USER_ID } from '../host-template/skeleton.ts'
import { CAPABILITIES } from '../launched/capabilities.ts'
import { ROOT } from '../launched/stage.ts'
import type { SeccompProfile } from './seccomp-profile.ts'

export interface BundleOptions {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly hostname: string
  /** False: there is only one id, and the runtime makes a namespace in which that is the user. */
  readonly mapped: boolean
  /** The runtime starts in the network namespace that the machine is to have. */
  readonly hasNetwork: boolean
  readonly seccomp?: SeccompProfile | undefined
  readonly annotations?: Readonly<Record<string, string>>
}

/** Of `/proc`, what shows the host. */
const MASKED = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
]
/** Root inside owns the sysctls of its namespaces; nothing inside has reason to change them. */
const READ_ONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

/**
 * `config.json` as in the OCI runtime specification 1.0.2. The launcher has made everything but `/proc` before the
 * runtime starts: user namespace, root with disk, volumes and devices, control groups, network.
 */
export function bundleConfig(options: BundleOptions): object {
  const capabilities = options.mapped ? CAPABILITIES : []
  const id = options.mapped ? 0 : USER_ID
  const own = [{ containerID: USER_ID, hostID: 0, size: 1 }]
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: id, gid: id },
      args: options.argv,
      env: Object.entries(options.env).map(([name, value]) => `${name}=${value}`),
      cwd: '/',
      noNewPrivileges: true,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    },
    root: { path: ROOT, readonly: false },
    hostname: options.hostname,
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
      // It is there already; a runtime that is not told of one makes its own.
      { destination: '/dev', type: 'bind', source: `${ROOT}/dev`, options: ['rbind'] },
    ],
    linux: {
      namespaces: [
        'pid',
        'ipc',
        'uts',
        'mount',
        'cgroup',
        ...(options.hasNetwork ? [] : ['network']),
        ...(options.mapped ? [] : ['user']),
      ].map((type) => ({ type })),
      ...(options.mapped ? {} : { uidMappings: own, gidMappings: own }),
      maskedPaths: MASKED,
      readonlyPaths: READ_ONLY,
      ...(options.seccomp === undefined ? {} : { seccomp: options.seccomp }),
    },
    ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
  }
}
