import { LIMIT_NAMES, type LimitName, type LimitReport, type MachineSpec } from '@cove/domain'
import { CONTROLLER_OF, type CgroupLimitName } from './plan.ts'
import type { Hierarchies } from './hierarchies.ts'

export type MissingLimits = Partial<Readonly<Record<LimitName, string>>>

const FOLDER_DISK = 'the disk is a folder of the host; a required limit makes it a file system of its own'

/** Why limits cannot be enforced here, as far as cgroups decide it. */
export function missingCgroupLimits({ controllers }: Hierarchies): MissingLimits {
  const missing: Partial<Record<LimitName, string>> = {}
  for (const name of Object.keys(CONTROLLER_OF) as CgroupLimitName[]) {
    const place = controllers[CONTROLLER_OF[name]]
    if ('missing' in place) missing[name] = place.missing
  }
  return missing
}

export function enforcedLimits(missing: MissingLimits): readonly LimitName[] {
  return LIMIT_NAMES.filter((name) => missing[name] === undefined)
}

export function diskReport(spec: MachineSpec, enforced: boolean, reason = FOLDER_DISK): readonly LimitReport[] {
  const limit = spec.limits.diskBytes
  if (limit === undefined) return []
  return [{ name: 'diskBytes', value: limit.value, enforced, ...(enforced ? {} : { reason }) }]
}

const FILES: Readonly<Record<LimitName, readonly string[]>> = {
  memoryBytes: ['memory.limit_in_bytes', 'memory.max'],
  cpus: ['cpu.'],
  processes: ['pids.'],
  diskBytes: [],
}

/** A default limit whose cgroup setting failed is told as not enforced. */
export function withProblems(limits: readonly LimitReport[], problems: readonly string[]): readonly LimitReport[] {
  return limits.map((report) => {
    const problem = problems.find((text) => FILES[report.name].some((file) => text.includes(file)))
    return problem === undefined ? report : { ...report, enforced: false, reason: problem }
  })
}
