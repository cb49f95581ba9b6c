import { CoveError, type LimitName, type LimitReport, type Limits } from '@cove/domain'
import { changeLimits } from '../cgroups/change-limits.ts'
import type { MissingLimits } from '../cgroups/limit-support.ts'
import type { CgroupPlan } from '../cgroups/plan.ts'
import { hostSize, limitProblems, refuseProblems } from '../host/check-spec.ts'

const DISK = 'a disk keeps the size that it was made with'

export interface ResizeRequest {
  readonly limits: Limits
  /** As they are. */
  readonly reports: readonly LimitReport[]
  /** Why limits cannot be enforced here. */
  readonly missing: MissingLimits
  /** Limits that stay as the machine was made. Default: none. */
  readonly fixed?: readonly LimitName[]
  readonly plan: (limits: Limits) => CgroupPlan
}

/** Changes what `limits` names in the control groups of a running machine; answers what came of all of them. */
export async function resizeMachine(request: ResizeRequest): Promise<readonly LimitReport[]> {
  const { limits, reports, missing } = request
  refuseProblems(limitProblems(limits, hostSize(), missing))
  const { diskBytes, ...rest } = limits
  const others = { ...rest }
  for (const name of request.fixed ?? []) {
    const limit = limits[name]
    const now = reports.find((report) => report.name === name)
    if (limit?.required === true && limit.value !== now?.value) {
      throw new CoveError('limit-not-enforceable', `${name} stays as the machine was made`, { field: `limits.${name}` })
    }
    if (name !== 'diskBytes') delete others[name]
  }
  const disk = reports.find(({ name }) => name === 'diskBytes')
  const sameDisk = disk?.enforced === true && disk.value === diskBytes?.value
  if (diskBytes?.required === true && !sameDisk) {
    throw new CoveError('limit-not-enforceable', DISK, { field: 'limits.diskBytes' })
  }
  const changed = new Map<LimitName, LimitReport>()
  if (diskBytes !== undefined && !sameDisk) {
    const { value } = disk?.enforced === true ? disk : diskBytes
    changed.set('diskBytes', { name: 'diskBytes', value, enforced: disk?.enforced ?? false, reason: DISK })
  }
  // One after the other: a default limit that cannot be set does not keep the others from being set.
  const plans = Object.entries(others).map(([name, limit]) => ({ limit, plan: request.plan({ [name]: limit }) }))
  const problem = await changeLimits(merged(plans.filter(({ limit }) => limit.required).map(({ plan }) => plan)))
  if (problem !== undefined) {
    const [first] = plans.flatMap(({ limit, plan }) => (limit.required ? plan.reports : []))
    throw new CoveError('limit-not-enforceable', `the limits cannot be set: ${problem}`, {
      field: `limits.${first?.name ?? ''}`,
    })
  }
  for (const { limit, plan } of plans) {
    const failure = limit.required ? undefined : await changeLimits(plan)
    for (const report of plan.reports) {
      changed.set(
        report.name,
        failure === undefined ? report : { ...report, enforced: false, reason: failure.slice(0, 200) },
      )
    }
  }
  return [...reports.filter(({ name }) => !changed.has(name)), ...changed.values()]
}

function merged(plans: readonly CgroupPlan[]): CgroupPlan {
  return {
    cgroups: plans.flatMap(({ cgroups }) => cgroups),
    workloadJoin: [],
    reports: plans.flatMap(({ reports }) => reports),
    files: {},
  }
}
