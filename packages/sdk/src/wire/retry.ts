import type { Clock, CoveError, ErrorCode } from '@cove/domain'

/** How often something is tried again, and how long it waits before: half of each pause is certain, half is chance. */
export interface RetryPolicy {
  /** Tries after the first one. 0: none. */
  readonly attempts: number
  /** Milliseconds before the second try; doubled before each next one. */
  readonly baseMs: number
  readonly maxMs: number
}

export const DEFAULT_RETRY: RetryPolicy = { attempts: 4, baseMs: 100, maxMs: 2000 }

/** Time and chance, injected. */
export interface RetryParts {
  readonly clock: Clock
  /** 0 up to 1. */
  readonly chance: () => number
}

/** Nothing has happened yet, so that even a call with side effects may be made again. */
const NEVER_BEGUN: ReadonlySet<ErrorCode> = new Set(['daemon-not-running', 'rate-limited'])
/** It may or may not have happened. */
const UNKNOWN_END: ReadonlySet<ErrorCode> = new Set([
  'connection-lost',
  'guest-unreachable',
  'launcher-unavailable',
  'store-conflict',
])

export function mayRetry(error: CoveError, idempotent: boolean): boolean {
  return NEVER_BEGUN.has(error.code) || (idempotent && UNKNOWN_END.has(error.code))
}

/** Half of the step is certain and half is chance, so that many clients do not come back in one wave. */
export function retryDelay(policy: RetryPolicy, attempt: number, chance: number, error?: CoveError): number {
  const asked = error?.context['retryAfterMs']
  if (typeof asked === 'number') return Math.min(asked, policy.maxMs * 5)
  const step = Math.min(policy.maxMs, policy.baseMs * 2 ** attempt)
  return step * (0.5 + chance / 2)
}
