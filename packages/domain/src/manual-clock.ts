import type { Clock } from './clock.ts'

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** A clock that stands still until it is told to go on: for tests and simulations. */
export class ManualClock implements Clock {
  #now: number
  #elapsed = 0
  readonly #sleepers = new Set<Sleeper>()

  /** Starts at these Unix milliseconds. */
  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#elapsed
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason)
        return
      }
      const abort = () => {
        this.#sleepers.delete(sleeper)
        reject(signal?.reason)
      }
      const sleeper: Sleeper = {
        at: this.#elapsed + Math.max(0, ms),
        wake: () => {
          this.#sleepers.delete(sleeper)
          signal?.removeEventListener('abort', abort)
          resolve()
        },
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#sleepers.add(sleeper)
    })
  }

  /** How many sleeps wait for time to pass. */
  get sleeping(): number {
    return this.#sleepers.size
  }

  /**
   * Lets time pass, one sleep after the other in their order; what a woken sleeper does with settled promises
   * happens before the next one wakes, so that loops which sleep again are seen.
   */
  async advance(ms: number): Promise<void> {
    const target = this.#elapsed + ms
    for (;;) {
      await new Promise(setImmediate)
      const next = this.#earliest(target)
      if (next === undefined) break
      this.#moveTo(Math.max(next.at, this.#elapsed))
      next.wake()
    }
    this.#moveTo(target)
  }

  /** Moves the wall clock only, as an administrator or NTP does. */
  jump(ms: number): void {
    this.#now += ms
  }

  #moveTo(elapsed: number): void {
    this.#now += elapsed - this.#elapsed
    this.#elapsed = elapsed
  }

  #earliest(until: number): Sleeper | undefined {
    let earliest: Sleeper | undefined
    for (const sleeper of this.#sleepers) {
      if (sleeper.at <= until && (earliest === undefined || sleeper.at < earliest.at)) earliest = sleeper
    }
    return earliest
  }
}
