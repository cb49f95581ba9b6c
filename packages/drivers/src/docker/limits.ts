import type { Container, ContainerChange, EngineInfo } from '@cove/docker-engine'
import { LIMIT_NAMES, type LimitName, type LimitReport, type Limits } from '@cove/domain'

/**
 * What the guest agent and the bridge to it may use beyond the workload's own limits. Both are in the workload's group:
 * an engine gives a container one.
 */
const RESERVE = { memoryBytes: 16 * 1024 * 1024, processes: 16, cpus: 0 } as const
type EngineLimit = keyof typeof RESERVE

const DISK = 'the storage of the Docker Engine does not limit what one container writes'
const KERNEL: Readonly<Record<EngineLimit, string>> = {
  memoryBytes: "the kernel of the Docker Engine's host does not limit memory",
  cpus: "the kernel of the Docker Engine's host does not limit processors",
  processes: "the kernel of the Docker Engine's host does not limit processes",
}

export type MissingLimits = Partial<Readonly<Record<LimitName, string>>>

/** Why limits cannot be enforced by this engine. */
export function missingLimits({ limits }: Pick<EngineInfo, 'limits'>): MissingLimits {
  return {
    diskBytes: DISK,
    ...(limits.memory ? {} : { memoryBytes: KERNEL.memoryBytes }),
    ...(limits.cpus ? {} : { cpus: KERNEL.cpus }),
    ...(limits.processes ? {} : { processes: KERNEL.processes }),
  }
}

/** What comes of limits, in the order of their names. */
export function reportLimits(limits: Limits, missing: MissingLimits): readonly LimitReport[] {
  return LIMIT_NAMES.flatMap((name): readonly LimitReport[] => {
    const limit = limits[name]
    if (limit === undefined) return []
    const reason = missing[name]
    return [{ name, value: limit.value, enforced: reason === undefined, ...(reason === undefined ? {} : { reason }) }]
  })
}

/** What the engine is told. */
export function engineLimits(reports: readonly LimitReport[]): ContainerChange {
  const change: { -readonly [Key in EngineLimit]?: number } = {}
  for (const { name, value, enforced } of reports) {
    if (enforced && name !== 'diskBytes') change[name] = value + RESERVE[name]
  }
  return change
}

/**
 * From a container: its label says what was asked for when it was made, and its settings how that stands now, for those
 * can have been changed.
 */
export function limitsOf(container: Container, label: string | undefined): readonly LimitReport[] {
  const asked = new Map(readReports(label).map((report) => [report.name, report]))
  return LIMIT_NAMES.flatMap((name): readonly LimitReport[] => {
    const report = asked.get(name)
    const set = name === 'diskBytes' ? 0 : container[name]
    if (name !== 'diskBytes' && set > 0) return [{ name, value: set - RESERVE[name], enforced: true }]
    return report === undefined || report.enforced ? [] : [report]
  })
}

/** Some limit is set that the engine cannot take back. */
export function mustDrop(container: Container, change: ContainerChange): boolean {
  const names: readonly EngineLimit[] = ['memoryBytes', 'cpus', 'processes']
  return names.some((name) => container[name] > 0 && change[name] === undefined)
}

export const writeReports = (reports: readonly LimitReport[]): string => JSON.stringify(reports)

function readReports(text = '[]'): readonly LimitReport[] {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? value.flatMap(readReport) : []
  } catch {
    return []
  }
}

function readReport(value: unknown): readonly LimitReport[] {
  if (typeof value !== 'object' || value === null) return []
  const { name, value: amount, enforced, reason }: Readonly<Record<string, unknown>> = { ...value }
  const known = LIMIT_NAMES.find((each) => each === name)
  if (known === undefined || typeof amount !== 'number' || typeof enforced !== 'boolean') return []
  return [{ name: known, value: amount, enforced, ...(typeof reason === 'string' ? { reason } : {}) }]
}
