import { CoveError, type Clock } from '@cove/domain'

/** So many times the patience a create may take in all, however often the node says that it goes on. */
const MOST_TIMES = 12

/** How long a node is waited for: `ms` since it was heard of last, for it may have gigabytes to fetch first. */
export class Patience implements Disposable {
  readonly #clock: Clock
  readonly #ms: number
  readonly #late = new AbortController()
  readonly #over = new AbortController()
  #heardAt: number

  constructor(clock: Clock, ms: number) {
    this.#clock = clock
    this.#ms = ms
    this.#heardAt = clock.monotonic()
    void this.#watch()
  }

  /** Aborts with `deadline-exceeded`. */
  get signal(): AbortSignal {
    return this.#late.signal
  }

  heard(): void {
    this.#heardAt = this.#clock.monotonic()
  }

  [Symbol.dispose](): void {
    this.#over.abort()
  }

  async #watch(): Promise<void> {
    const clock = this.#clock
    const end = clock.monotonic() + this.#ms * MOST_TIMES
    try {
      for (;;) {
        const now = clock.monotonic()
        const due = Math.min(this.#heardAt + this.#ms, end)
        if (now >= due) break
        await clock.sleep(due - now, this.#over.signal)
      }
    } catch {
      return
    }
    const what = clock.monotonic() >= end ? 'in all' : 'since it was heard of last'
    const ms = clock.monotonic() >= end ? this.#ms * MOST_TIMES : this.#ms
    this.#late.abort(new CoveError('deadline-exceeded', `the node did not make the machine in ${ms} ms ${what}`))
  }
}
