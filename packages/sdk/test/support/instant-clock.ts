import type { Clock } from '@cove/domain'

/** Sleeps take no time, and are written down. */
export class InstantClock implements Clock {
  readonly slept: number[] = []
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
    this.slept.push(ms)
    this.#time += ms
  }
}
