import { join } from 'node:path'
import type { LimitName, LimitReport, Limits } from '@cove/domain'
import type { CgroupSpec } from '@cove/runner'
import type { Controller, Hierarchies } from './hierarchies.ts'

/** What the guest agent and the host processes around it may use beyond the workload's own limits. */
export type Reserve = Readonly<Record<CgroupLimitName, number>>
const RESERVE: Reserve = { memoryBytes: 24 * 1024 * 1024, processes: 32, cpus: 0.2 }

const CPU_PERIOD_US = 100_000
const MIN_CPU_QUOTA_US = 1_000

/** Which controller holds which limit; a disk has none. */
export const CONTROLLER_OF = { memoryBytes: 'memory', cpus: 'cpu', processes: 'pids' } as const satisfies Partial<
  Record<LimitName, Controller>
>
export type CgroupLimitName = keyof typeof CONTROLLER_OF

/** Files of one machine that are read later. */
export interface CgroupFiles {
  readonly memoryBytes?: string
  readonly processes?: string
  /** `cpu.stat` of cgroup2. */
  readonly cpuStat?: string
  /** `cpuacct.usage` of v1. */
  readonly cpuUsage?: string
  /** Lists of the machine's processes, agent and workload. */
  readonly processLists?: readonly string[]
  /** Counts the workload's processes that the kernel killed for memory: a line `oom_kill <count>`. */
  readonly workloadOom?: string
  /** The same for the agent's own group. */
  readonly agentOom?: string
  readonly freeze?: { readonly version: 1 | 2; readonly file: string; readonly state: string }
}

export interface CgroupPlan {
  readonly cgroups: readonly CgroupSpec[]
  /** A process that writes `0` to each of these becomes part of the workload. */
  readonly workloadJoin: readonly string[]
  readonly reports: readonly LimitReport[]
  readonly files: CgroupFiles
}

/**
 * The cgroups of one machine. The agent lives beside or above the workload's group with a reserve of its own, so
 * that a bomb hits the workload and the agent stays there to tell of it.
 */
export function planCgroups(
  hierarchies: Hierarchies,
  machine: string,
  limits: Limits,
  reserve: Reserve = RESERVE,
): CgroupPlan {
  const groups = new Map<string, Group>()
  const folder = hierarchies.prefix + machine
  const reports: LimitReport[] = []
  const files: { -readonly [Key in keyof CgroupFiles]: CgroupFiles[Key] } = {}

  for (const name of Object.keys(CONTROLLER_OF) as CgroupLimitName[]) {
    const controller = CONTROLLER_OF[name]
    const place = hierarchies.controllers[controller]
    const limit = limits[name]
    if ('missing' in place) {
      if (limit !== undefined) reports.push({ name, value: limit.value, enforced: false, reason: place.missing })
      continue
    }
    const group = groupAt(groups, place.parent, place.version, folder)
    // Without a limit of its own a share of the processors is all there is to it, and one group has that.
    if (limit !== undefined || name !== 'cpus') group.inner = true
    if (place.version === 2) group.controllers.push(controller)
    if (name === 'memoryBytes') {
      const oom = place.version === 1 ? 'memory.oom_control' : 'memory.events'
      files.memoryBytes = join(group.path, place.version === 1 ? 'memory.usage_in_bytes' : 'memory.current')
      files.workloadOom = join(group.path, 'work', oom)
      files.agentOom = place.version === 1 ? join(group.path, oom) : join(group.path, 'agent', oom)
    } else if (name === 'processes') {
      files.processes = join(group.path, 'pids.current')
      const agent = place.version === 1 ? group.path : join(group.path, 'agent')
      files.processLists = [join(agent, 'cgroup.procs'), join(group.path, 'work/cgroup.procs')]
    } else if (place.countsCpu === true) {
      files.cpuUsage = join(group.path, 'cpuacct.usage')
    }
    if (limit === undefined) continue
    group.own.push(...settings(name, place.version, limit.value + reserve[name], limit.required))
    group.work.push(...settings(name, place.version, limit.value, limit.required))
    reports.push({ name, value: limit.value, enforced: true })
  }

  if (hierarchies.unified !== undefined) {
    const group = groupAt(groups, hierarchies.unified, 2, folder)
    files.cpuStat = join(group.path, 'cpu.stat')
    files.freeze = { version: 2, file: join(group.path, 'cgroup.freeze'), state: join(group.path, 'cgroup.events') }
  }
  if (hierarchies.freezer !== undefined) {
    const { path } = groupAt(groups, hierarchies.freezer, 1, folder)
    files.freeze = { version: 1, file: join(path, 'freezer.state'), state: join(path, 'freezer.state') }
  }

  const all = [...groups.values()]
  return {
    cgroups: all.flatMap(specs),
    workloadJoin: all
      .filter(({ inner }) => inner)
      .map(({ path, version }) => join(path, 'work', version === 1 ? 'tasks' : 'cgroup.procs')),
    reports,
    files,
  }
}

type Setting = CgroupSpec['set'][number]

interface Group {
  readonly path: string
  readonly version: 1 | 2
  /** Limits something, so that the workload has a group of its own inside. One that only freezes or counts has not. */
  inner: boolean
  /** Of cgroup2: to be handed to the groups inside. */
  readonly controllers: Controller[]
  readonly own: Setting[]
  readonly work: Setting[]
}

function groupAt(groups: Map<string, Group>, parent: string, version: 1 | 2, folder: string): Group {
  const path = join(parent, folder)
  const known = groups.get(path)
  if (known !== undefined) return known
  const group: Group = { path, version, inner: false, controllers: [], own: [], work: [] }
  groups.set(path, group)
  return group
}

function specs(group: Group): readonly CgroupSpec[] {
  const { path, version, inner, controllers, own, work } = group
  if (!inner) return [{ path, set: own, join: true }]
  if (version === 1) {
    return [
      { path, set: own, join: true },
      { path: join(path, 'work'), set: work },
    ]
  }
  // In cgroup2 a group that hands controllers down has no processes of its own: the agent gets a leaf too.
  const handDown = {
    file: 'cgroup.subtree_control',
    value: controllers.map((name) => `+${name}`).join(' '),
    required: true,
  }
  return [
    { path, set: [...own, handDown] },
    { path: join(path, 'agent'), set: [], join: true },
    { path: join(path, 'work'), set: work },
  ]
}

function settings(name: CgroupLimitName, version: 1 | 2, value: number, required: boolean): readonly Setting[] {
  switch (name) {
    case 'memoryBytes': {
      const bytes = String(Math.floor(value))
      return version === 1
        ? [
            { file: 'memory.limit_in_bytes', value: bytes, required },
            // Memory and swap together: without this a limit only moves pages out. Absent where swap is not counted.
            { file: 'memory.memsw.limit_in_bytes', value: bytes, required: false },
          ]
        : [
            { file: 'memory.max', value: bytes, required },
            { file: 'memory.swap.max', value: '0', required: false },
          ]
    }
    case 'cpus': {
      const quota = String(Math.max(MIN_CPU_QUOTA_US, Math.round(value * CPU_PERIOD_US)))
      return version === 1
        ? [
            { file: 'cpu.cfs_period_us', value: String(CPU_PERIOD_US), required },
            { file: 'cpu.cfs_quota_us', value: quota, required },
          ]
        : [{ file: 'cpu.max', value: `${quota} ${CPU_PERIOD_US}`, required }]
    }
    case 'processes':
      return [{ file: 'pids.max', value: String(Math.floor(value)), required }]
  }
}
