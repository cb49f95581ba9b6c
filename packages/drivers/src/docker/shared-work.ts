import { CoveError } from '@cove/domain'

/** Work that many may wait for and that is done once; it is given up when nobody waits any longer. */
export class SharedWork<Key, Result, Step> {
  readonly #running = new Map<Key, Running<Result, Step>>()

  async run(
    key: Key,
    waiter: { readonly signal: AbortSignal; readonly progress: (step: Step) => void },
    work: (signal: AbortSignal, progress: (step: Step) => void) => Promise<Result>,
  ): Promise<Result> {
    if (waiter.signal.aborted) throw CoveError.from(waiter.signal.reason, 'cancelled')
    const running = this.#running.get(key) ?? this.#start(key, work)
    running.listeners.add(waiter.progress)
    running.waiting += 1
    const { promise: left, reject } = Promise.withResolvers<never>()
    const onAbort = (): void => {
      reject(CoveError.from(waiter.signal.reason, 'cancelled'))
      if (running.waiting > 1) return
      // Whoever comes now begins anew.
      if (this.#running.get(key) === running) this.#running.delete(key)
      running.giveUp.abort(waiter.signal.reason)
    }
    waiter.signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await Promise.race([running.result, left])
    } finally {
      waiter.signal.removeEventListener('abort', onAbort)
      running.listeners.delete(waiter.progress)
      running.waiting -= 1
    }
  }

  #start(
    key: Key,
    work: (signal: AbortSignal, progress: (step: Step) => void) => Promise<Result>,
  ): Running<Result, Step> {
    const giveUp = new AbortController()
    const listeners = new Set<(step: Step) => void>()
    const result = work(giveUp.signal, (step) => {
      for (const listener of listeners) listener(step)
    })
    const running = { result, giveUp, listeners, waiting: 0 }
    this.#running.set(key, running)
    void this.#forget(key, running)
    return running
  }

  async #forget(key: Key, running: Running<Result, Step>): Promise<void> {
    await running.result.catch(() => undefined)
    if (this.#running.get(key) === running) this.#running.delete(key)
  }
}

interface Running<Result, Step> {
  readonly result: Promise<Result>
  readonly giveUp: AbortController
  readonly listeners: Set<(step: Step) => void>
  waiting: number
}
