import type { Clock } from '@cove/domain'

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** Time that moves only when told. */
export class ManualClock implements Clock {
  #time: number
  readonly #sleepers = new Set<Sleeper>()

  constructor(start = 1_700_000_000_000) {
    this.#time = start
  }

  now(): number {
    return this.#time
  }

  monotonic(): number {
    return this.#time
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error)
      const give = (): void => {
        this.#sleepers.delete(sleeper)
        reject(signal?.reason as Error)
      }
      const sleeper: Sleeper = {
        at: this.#time + ms,
        wake: () => {
          this.#sleepers.delete(sleeper)
          signal?.removeEventListener('abort', give)
          resolve()
        },
      }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', give, { once: true })
    })
  }

  /** Moves on step by step, so that whoever wakes can act before the next one does. */
  async advance(ms: number): Promise<void> {
    const end = this.#time + ms
    for (;;) {
      await settle()
      const due = [...this.#sleepers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#time = Math.max(this.#time, due.at)
      due.wake()
    }
    this.#time = end
    await settle()
  }
}

/** Lets everything run that is ready to run. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 20; round++) await new Promise((resolve) => setImmediate(resolve))
}
