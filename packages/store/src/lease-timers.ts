import type { Clock, LeaseId } from '@cove/domain'
import { leaseNotFound } from './store-errors.ts'

/** Timers of the platform hold 31 bits of milliseconds; a longer wait is done in pieces. */
const LONGEST_SLEEP_MS = 60 * 60 * 1000

/** Knows when leases end. Keep-alives cost no write: after a restart every lease starts with its full TTL. */
export class LeaseTimers {
  readonly #clock: Clock
  readonly #onEnd: (lease: LeaseId) => void
  readonly #leases = new Map<LeaseId, { readonly ttlMs: number; deadline: number }>()
  #wakeAt = Number.POSITIVE_INFINITY
  #sleep = new AbortController()
  #stopped = false

  /** `onEnd` is told once for each lease whose time is over. */
  constructor(clock: Clock, onEnd: (lease: LeaseId) => void) {
    this.#clock = clock
    this.#onEnd = onEnd
  }

  get count(): number {
    return this.#leases.size
  }

  add(lease: LeaseId, ttlMs: number): void {
    if (this.#stopped) return
    const deadline = this.#clock.monotonic() + ttlMs
    this.#leases.set(lease, { ttlMs, deadline })
    if (deadline < this.#wakeAt) this.#restart()
  }

  has(lease: LeaseId): boolean {
    return this.#leases.has(lease)
  }

  keepAlive(lease: LeaseId): void {
    const entry = this.#leases.get(lease)
    // The timer may be late; a lease whose time is over does not come back.
    if (entry === undefined || entry.deadline <= this.#clock.monotonic()) throw leaseNotFound(lease)
    entry.deadline = this.#clock.monotonic() + entry.ttlMs
  }

  remove(lease: LeaseId): void {
    this.#leases.delete(lease)
  }

  stop(): void {
    this.#stopped = true
    this.#leases.clear()
    this.#sleep.abort()
  }

  #restart(): void {
    this.#sleep.abort()
    this.#sleep = new AbortController()
    void this.#run(this.#sleep.signal)
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (;;) {
      const now = this.#clock.monotonic()
      this.#wakeAt = Number.POSITIVE_INFINITY
      for (const [lease, { deadline }] of this.#leases) {
        if (deadline > now) this.#wakeAt = Math.min(this.#wakeAt, deadline)
        else {
          this.#leases.delete(lease)
          this.#onEnd(lease)
        }
      }
      if (signal.aborted || this.#wakeAt === Number.POSITIVE_INFINITY) return
      try {
        // With very many leases a look at all of them is not free: then some end a few milliseconds late.
        const sleep = Math.max(this.#wakeAt - now, this.#leases.size / 1000)
        await this.#clock.sleep(Math.min(sleep, LONGEST_SLEEP_MS), signal)
      } catch {
        return
      }
    }
  }
}
