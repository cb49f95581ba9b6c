/**
 * What a sandbox may use. A **required** limit was named by the client: it is enforced or the create is
 * refused. Any other is a default: enforced as far as the driver can, and the answer says whether it is.
 */
export interface Limit {
  readonly value: number
  readonly required: boolean
}

export interface Limits {
  /** Bytes of memory, workload only. */
  readonly memoryBytes?: Limit
  /** Processors, fractions allowed: 0.5 is half of one. */
  readonly cpus?: Limit
  /** Processes and threads together. */
  readonly processes?: Limit
  /** Bytes that the sandbox may keep on its writable disk. */
  readonly diskBytes?: Limit
}

/** What can be limited. */
export const LIMIT_NAMES = ['memoryBytes', 'cpus', 'processes', 'diskBytes'] as const
/** What a limit is of. */
export type LimitName = (typeof LIMIT_NAMES)[number]

/** What came of one limit. */
export interface LimitReport {
  readonly name: LimitName
  readonly value: number
  readonly enforced: boolean
  /** Why it is not enforced, for people. */
  readonly reason?: string
}
