import { CoveError, type ErrorCode, type SandboxState } from '@cove/domain'
import { aborted } from './failures.ts'
import { retryDelay, type RetryParts, type RetryPolicy } from './retry.ts'

/** Patience with a server that restarts: about 20 seconds, counted anew whenever the stream has moved on. */
export const DEFAULT_RECONNECT: RetryPolicy = { attempts: 15, baseMs: 100, maxMs: 2000 }

/** A connection that stood this long was a good one: that it broke counts as the first failure. */
const STOOD_MS = 5000

const COMES_BACK: ReadonlySet<ErrorCode> = new Set([
  'connection-lost',
  'daemon-not-running',
  'guest-unreachable',
  'launcher-unavailable',
  'stale-session',
  'store-closed',
  'busy',
  'rate-limited',
  // A proxy's, or the server's that ended the call: the caller's own are told by its signal.
  'deadline-exceeded',
  'cancelled',
])

/** A sandbox in one of these may run again by itself, with its processes. */
const RETURNING: ReadonlySet<string> = new Set<SandboxState>(['lost', 'pausing', 'resuming'])

export function comesBack(error: CoveError): boolean {
  if (error.code === 'wrong-state') return RETURNING.has(String(error.context['state']))
  return COMES_BACK.has(error.code)
}

/**
 * Decides how long one stream goes on trying. A try that brings nothing new is a failure, however far it came: a proxy
 * that cuts every connection behind its first bytes is given up too.
 */
export class Reconnect {
  readonly #parts: RetryParts
  readonly #signal: AbortSignal | undefined
  #failures = 0
  #since = 0

  constructor(parts: RetryParts, signal: AbortSignal | undefined) {
    this.#parts = parts
    this.#signal = signal
  }

  /** To be called before each try. */
  begin(): void {
    this.#since = this.#parts.clock.monotonic()
  }

  /** Something has arrived that was not there before. */
  moved(): void {
    this.#failures = 0
  }

  /** Returns when the next try is due; throws what it failed with when there shall be none. */
  async failed(thrown: unknown, policy: RetryPolicy, mayTry: (error: CoveError) => boolean = comesBack): Promise<void> {
    const error = CoveError.from(thrown)
    const signal = this.#signal
    if (signal?.aborted === true) throw aborted(signal)
    if (!mayTry(error)) throw error
    const { clock, chance } = this.#parts
    if (clock.monotonic() - this.#since >= STOOD_MS) this.#failures = 0
    if (this.#failures >= policy.attempts) throw error
    const delay = retryDelay(policy, this.#failures++, chance(), error)
    await clock.sleep(delay, signal).catch((cause: unknown) => {
      throw signal === undefined ? CoveError.from(cause) : aborted(signal)
    })
  }
}
