import type { Clock } from '@cove/domain'

interface Due {
  readonly at: number
  readonly end: () => void
}

/** Longest sleep in milliseconds: the wall clock may jump, and is looked at again after it. */
const LOOK_AGAIN_MS = 60_000

/** Ends things at their time, all of them with one timer. */
export class Expiries {
  readonly #clock: Clock
  readonly #dues = new Set<Due>()
  #next = Infinity
  #wake: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#dues.size
  }

  /** Calls `end` at these Unix milliseconds, once, unless the returned function was called before. */
  add(at: number, end: () => void): () => void {
    const due = { at, end }
    this.#dues.add(due)
    if (at < this.#next) this.#wake?.()
    return () => void this.#dues.delete(due)
  }

  /** Works until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const now = this.#clock.now()
      let next = Infinity
      for (const due of this.#dues) {
        if (due.at > now) {
          next = Math.min(next, due.at)
          continue
        }
        this.#dues.delete(due)
        due.end()
      }
      this.#next = next
      await this.#sleep(next - now, signal)
    }
  }

  /** Until the time has come, something earlier is added, or the signal aborts. */
  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController()
    const wake = (): void => woken.abort()
    this.#wake = wake
    signal.addEventListener('abort', wake, { once: true })
    try {
      if (ms === Infinity) await new Promise<void>((resolve) => woken.signal.addEventListener('abort', () => resolve()))
      else await this.#clock.sleep(Math.min(ms, LOOK_AGAIN_MS), woken.signal).catch(() => undefined)
    } finally {
      signal.removeEventListener('abort', wake)
    }
  }
}
