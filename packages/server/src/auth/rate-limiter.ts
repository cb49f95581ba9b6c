import { CoveError, type Clock } from '@cove/domain'

export interface Rate {
  /** What is let through in the long run; 0 lets everything through. */
  readonly perSecond: number
  /** What is let through at once after a rest; at least 1. */
  readonly burst: number
}

/** Entries looked at for one that can go, when the table is full. */
const LOOKED_AT = 32

/**
 * Counts calls by key with the generic cell rate algorithm: one number for each key, no timers. The table is
 * bounded; when it is full of keys that are all in use, the one that came first starts afresh.
 */
export class RateLimiter {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #toleranceMs: number
  readonly #entries: number
  /** When each key is back at rest, in milliseconds of the monotonic clock. */
  readonly #rests = new Map<string, number>()

  constructor({ perSecond, burst }: Rate, clock: Clock, entries = 50_000) {
    this.#clock = clock
    this.#intervalMs = perSecond > 0 ? 1000 / perSecond : 0
    this.#toleranceMs = Math.max(0, burst - 1) * this.#intervalMs
    this.#entries = entries
  }

  get size(): number {
    return this.#rests.size
  }

  /** 0 when the call is let through, else the milliseconds to wait; what is not let through does not count. */
  take(key: string): number {
    if (this.#intervalMs === 0) return 0
    const now = this.#clock.monotonic()
    const known = this.#rests.get(key)
    const rest = Math.max(now, known ?? 0)
    const wait = rest - now - this.#toleranceMs
    if (wait > 0) return wait
    if (known === undefined && this.#rests.size >= this.#entries) this.#makeRoom(now)
    this.#rests.set(key, rest + this.#intervalMs)
    return 0
  }

  #makeRoom(now: number): void {
    let looked = 0
    let oldest: string | undefined
    for (const [key, rest] of this.#rests) {
      oldest ??= key
      if (rest <= now) this.#rests.delete(key)
      if (++looked === LOOKED_AT) break
    }
    if (oldest !== undefined && this.#rests.size >= this.#entries) this.#rests.delete(oldest)
  }
}

/** What whoever is too fast is told; doors turn the wait into `Retry-After`. */
export function rateLimited(waitMs: number, what = 'too many calls at once'): CoveError {
  const retryAfterMs = Math.ceil(waitMs)
  return new CoveError('rate-limited', `${what}; call again in ${retryAfterMs} ms`, { retryAfterMs })
}

/** The value of `Retry-After` in whole seconds, for errors that say how long to wait. */
export function retryAfter({ code, context }: CoveError): number | undefined {
  if (code !== 'rate-limited') return undefined
  const { retryAfterMs } = context
  return typeof retryAfterMs === 'number' ? Math.max(1, Math.ceil(retryAfterMs / 1000)) : 1
}

/** The table's key of an address: one IPv6 subscriber has a whole /64. */
export function addressKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined || !address.includes(':')) return mapped ?? address
  const [head = '', tail] = address.toLowerCase().replace(/%.*$/, '').split('::')
  const first = head === '' ? [] : head.split(':')
  const last = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length)
  const groups = [...first, ...Array.from({ length: zeros }, () => '0'), ...last]
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')
}
