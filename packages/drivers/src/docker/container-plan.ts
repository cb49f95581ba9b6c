import { createHash } from 'node:crypto'
import type { ContainerSpec } from '@cove/docker-engine'
import type { MachineSpec } from '@cove/domain'
import { LABEL } from './names.ts'

/** Where the agent's volume is shown. `/dev` is in memory, so that nothing of it is left in what the machine writes. */
const AGENT_FOLDER = '/dev/.cove'
export const AGENT_NAME = 'cove-guest'
export const AGENT_PATH = `${AGENT_FOLDER}/${AGENT_NAME}`
const AGENT_SOCKET = '/dev/.cove-agent.sock'

/** Joins its stdio to the agent. */
export const BRIDGE = [AGENT_PATH, 'bridge', AGENT_SOCKET] as const

/** What root inside may do. The agent needs `SETPCAP` to take it from all that it starts. */
const KEPT = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETUID',
  'SYS_CHROOT',
] as const

const WORKLOAD_OOM_SCORE_ADJ = 500
const OOM_EVENTS = { '1': '/sys/fs/cgroup/memory/memory.oom_control', '2': '/sys/fs/cgroup/memory.events' } as const

const MiB = 1024 * 1024
const DEFAULT_TMP_BYTES = 512 * MiB
const MIN_TMP_BYTES = 16 * MiB
const RUN_BYTES = 64 * MiB

export interface PlanFacts {
  /** What the engine calls the image. */
  readonly image: string
  readonly agentVolume: string
  readonly cgroupVersion: '1' | '2'
  /** A seccomp profile as JSON; without one the engine's own holds. */
  readonly seccomp?: string
  readonly runtime?: string
}

/** The container of a machine, apart from its name, its limits and most of its labels. */
export function planContainer(spec: MachineSpec, facts: PlanFacts): ContainerSpec {
  const { seccomp, runtime } = facts
  const tmp = tmpBytes(spec)
  return {
    image: facts.image,
    entrypoint: [AGENT_PATH],
    command: [
      'agent',
      '--listen',
      AGENT_SOCKET,
      '--workload-oom-score-adj',
      `${WORKLOAD_OOM_SCORE_ADJ}`,
      '--oom-events',
      OOM_EVENTS[facts.cgroupVersion],
      '--drop-bounding-set',
      KEPT.join(','),
    ],
    // What the image says of its own program does not concern the agent.
    user: '0:0',
    workingDirectory: '/',
    stopSignal: 'SIGTERM',
    withoutHealthCheck: true,
    hostname: spec.hostname,
    network: 'none',
    mounts: [
      { kind: 'volume', source: facts.agentVolume, target: AGENT_FOLDER, readOnly: true, empty: true },
      ...(spec.volumes ?? []).map(({ source, target, readOnly }) => ({
        kind: 'bind' as const,
        source,
        target,
        readOnly,
      })),
    ],
    tmpfs: {
      '/tmp': `rw,exec,nosuid,nodev,size=${tmp},mode=1777`,
      '/run': `rw,exec,nosuid,nodev,size=${RUN_BYTES},mode=755`,
    },
    shmBytes: Math.floor(tmp / 2),
    // A crash inside must not run the host's handler for core dumps.
    ulimits: [{ name: 'core', soft: 0, hard: 0 }],
    logDriver: 'none',
    cgroupNamespace: 'private',
    dropCapabilities: ['ALL'],
    addCapabilities: [...KEPT, 'SETPCAP'],
    securityOptions: ['no-new-privileges', ...(seccomp === undefined ? [] : [`seccomp=${seccomp}`])],
    ...(runtime === undefined ? {} : { runtime }),
  }
}

/** `/tmp` is memory: half of what the machine may use, so that a full one is an error and not the end. */
function tmpBytes(spec: MachineSpec): number {
  const memory = spec.limits.memoryBytes?.value
  return memory === undefined ? DEFAULT_TMP_BYTES : Math.max(MIN_TMP_BYTES, Math.floor(memory / 2))
}

/** The same for containers that differ in nothing that cannot be changed; the image is the disk's own affair. */
export function shapeOf(plan: ContainerSpec): string {
  const { image: _image, name: _name, labels: _labels, memoryBytes: _memory, cpus: _cpus, ...rest } = plan
  const { processes: _processes, ...shape } = rest
  return createHash('sha256').update(JSON.stringify(shape)).digest('hex').slice(0, 32)
}

export function withLabels(plan: ContainerSpec, labels: Readonly<Record<string, string>>): ContainerSpec {
  return { ...plan, labels: { ...plan.labels, ...labels, [LABEL.shape]: shapeOf(plan) } }
}
