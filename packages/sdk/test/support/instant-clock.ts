import type { Clock } from '@cove/domain'

/** Longer sleeps are of watchdogs, which have nothing to bark at where no time passes. */
const WATCHDOG_MS = 10_000

/** Sleeps take no time, and are written down; those of watchdogs last until they are called off. */
export class InstantClock implements Clock {
  readonly slept: number[] = []
  /** Called before each sleep that is not a watchdog's. */
  beforeSleep: () => void = () => {}
  #time = 0

  now(): number {
    return this.#time
  }

  monotonic(): number {
    return this.#time
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await Promise.resolve()
    signal?.throwIfAborted()
    if (ms > WATCHDOG_MS) {
      await new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      })
    }
    this.beforeSleep()
    signal?.throwIfAborted()
    this.slept.push(ms)
    this.#time += ms
  }
}
