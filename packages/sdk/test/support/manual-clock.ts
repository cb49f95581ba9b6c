import type { Clock } from '@cove/domain'

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** Time that moves only when told. */
export class ManualClock implements Clock {
  #time = 0
  readonly #sleepers = new Set<Sleeper>()

  now(): number {
    return this.#time
  }

  monotonic(): number {
    return this.#time
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper: Sleeper = { at: this.#time + ms, wake: resolve }
      this.#sleepers.add(sleeper)
      signal?.addEventListener(
        'abort',
        () => {
          this.#sleepers.delete(sleeper)
          reject(signal.reason as Error)
        },
        { once: true },
      )
    })
  }

  async advance(ms: number): Promise<void> {
    const end = this.#time + ms
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      const due = [...this.#sleepers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#time = due.at
      this.#sleepers.delete(due)
      due.wake()
    }
    this.#time = end
  }
}
