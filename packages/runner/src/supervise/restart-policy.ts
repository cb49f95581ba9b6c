import { CoveError, type Exit } from '@cove/domain'

/**
 * What happens when a supervised process ends by itself.
 *
 * - `no`: nothing.
 * - `on-failure`: it is started again unless it exited with 0; at most `most` times in a row where that is said.
 * - `always`: it is started again.
 */
export type RestartPolicy =
  | { readonly kind: 'no' }
  | { readonly kind: 'on-failure'; readonly most?: number }
  | { readonly kind: 'always' }

/** How long is waited before each further start. */
export interface Backoff {
  /** Milliseconds before the first restart in a row; each further wait is twice as long. Default 200. */
  readonly firstMs?: number
  /** Milliseconds. Default 30,000. */
  readonly longestMs?: number
  /** A process that was up for so many milliseconds begins a new row. Default 10,000. */
  readonly steadyMs?: number
}

/** How one run of a process ended. */
export interface RunEnd {
  /** Undefined when it could not be started. */
  readonly exit: Exit | undefined
  readonly upMs: number
  /** It did not become ready, or could not be started: it has failed, whatever its status. */
  readonly failed: boolean
}

export type RestartDecision =
  | { readonly kind: 'restart'; readonly delayMs: number }
  /** The policy wants no further start. */
  | { readonly kind: 'end' }
  /** It would have been started again, but has been too often. */
  | { readonly kind: 'give-up'; readonly restarts: number }

const FIRST_MS = 200
const LONGEST_MS = 30_000
const STEADY_MS = 10_000
const MOST_RESTARTS = 1_000_000

/** Decides after each end what comes next. */
export class Restarts {
  readonly #policy: RestartPolicy
  readonly #backoff: Required<Backoff>
  #inRow = 0

  constructor(
    policy: RestartPolicy,
    { firstMs = FIRST_MS, longestMs = LONGEST_MS, steadyMs = STEADY_MS }: Backoff = {},
  ) {
    this.#policy = policy
    this.#backoff = { firstMs, longestMs, steadyMs }
  }

  next(end: RunEnd): RestartDecision {
    const policy = this.#policy
    if (policy.kind === 'no') return { kind: 'end' }
    if (policy.kind === 'on-failure' && !hasFailed(end)) return { kind: 'end' }
    if (end.upMs >= this.#backoff.steadyMs && !end.failed) this.#inRow = 0
    if (policy.kind === 'on-failure' && this.#inRow >= (policy.most ?? Number.POSITIVE_INFINITY)) {
      return { kind: 'give-up', restarts: this.#inRow }
    }
    const delayMs = Math.min(this.#backoff.firstMs * 2 ** Math.min(this.#inRow, 30), this.#backoff.longestMs)
    this.#inRow += 1
    return { kind: 'restart', delayMs }
  }

  /** Somebody has asked for a new start: what was before does not count. */
  reset(): void {
    this.#inRow = 0
  }
}

function hasFailed({ exit, failed }: RunEnd): boolean {
  return failed || exit?.kind !== 'exited' || exit.code !== 0
}

/** Reads `no`, `on-failure`, `on-failure:5` and `always`. `invalid-argument` for everything else. */
export function parseRestartPolicy(text: string): RestartPolicy {
  if (text === 'no' || text === 'always' || text === 'on-failure') return { kind: text }
  const most = Number(/^on-failure:(\d{1,7})$/.exec(text)?.[1])
  if (most >= 1 && most <= MOST_RESTARTS) return { kind: 'on-failure', most }
  throw new CoveError('invalid-argument', `${JSON.stringify(text.slice(0, 40))} is no restart policy`, {
    field: 'restart',
  })
}

export function formatRestartPolicy(policy: RestartPolicy): string {
  return policy.kind === 'on-failure' && policy.most !== undefined ? `on-failure:${policy.most}` : policy.kind
}
