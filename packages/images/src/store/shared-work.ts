import { CoveError } from '@cove/domain'

interface Waiter<Progress> {
  readonly signal: AbortSignal
  readonly progress: (step: Progress) => void
}

interface Running<Result, Progress> {
  readonly stop: AbortController
  readonly waiters: Set<Waiter<Progress>>
  /** Never rejects. */
  readonly settled: Promise<{ readonly result: Result } | { readonly error: unknown }>
  last: Progress | undefined
}

type Start<Result, Progress> = (signal: AbortSignal, progress: (step: Progress) => void) => Promise<Result>

/**
 * Does a piece of work once for everybody who asks for it at the same time. It goes on until the last of them has
 * left; whoever asks while a cancelled one comes to its end waits for that and begins anew.
 */
export class SharedWork<Result extends Disposable, Progress> {
  readonly #running = new Map<string, Running<Result, Progress>>()
  readonly #split: (result: Result) => Result

  /** `split` gives everybody a result to dispose of. */
  constructor(split: (result: Result) => Result) {
    this.#split = split
  }

  /** Rejects with `cancelled` when the signal aborts; as the last one, when the work has come to its end. */
  async join(key: string, waiter: Waiter<Progress>, start: Start<Result, Progress>): Promise<Result> {
    for (;;) {
      if (waiter.signal.aborted) throw cancelled(waiter.signal)
      const running = this.#running.get(key)
      if (running === undefined) return await this.#wait(this.#start(key, start), waiter)
      if (!running.stop.signal.aborted) return await this.#wait(running, waiter)
      await running.settled
    }
  }

  /** The same; but what another one started and could not do is tried once more in the own way, perhaps a better one. */
  async joinOrTry(key: string, waiter: Waiter<Progress>, start: Start<Result, Progress>): Promise<Result> {
    for (;;) {
      let isMine = false
      try {
        return await this.join(key, waiter, async (signal, progress) => {
          isMine = true
          return await start(signal, progress)
        })
      } catch (error) {
        if (isMine || waiter.signal.aborted) throw error
      }
    }
  }

  /** Cancels everything; resolves when all of it has come to its end. */
  async stop(reason: unknown): Promise<void> {
    const all = [...this.#running.values()]
    for (const { stop } of all) stop.abort(reason)
    await Promise.all(all.map(async ({ settled }) => await settled))
  }

  #start(key: string, start: Start<Result, Progress>): Running<Result, Progress> {
    const stop = new AbortController()
    const waiters = new Set<Waiter<Progress>>()
    const progress = (step: Progress) => {
      running.last = step
      for (const waiter of waiters) waiter.progress(step)
    }
    // Begins after `running` is known, whatever `start` does at once.
    const settled = Promise.resolve()
      .then(async () => await start(stop.signal, progress))
      .then(
        (result) => {
          this.#running.delete(key)
          // After everybody who waits has taken a part of it.
          setImmediate(() => result[Symbol.dispose]())
          return { result }
        },
        (error: unknown) => {
          this.#running.delete(key)
          return { error }
        },
      )
    const running: Running<Result, Progress> = { stop, waiters, settled, last: undefined }
    this.#running.set(key, running)
    return running
  }

  async #wait(running: Running<Result, Progress>, waiter: Waiter<Progress>): Promise<Result> {
    running.waiters.add(waiter)
    if (running.last !== undefined) waiter.progress(running.last)
    const left = Promise.withResolvers<void>()
    const leave = () => {
      running.waiters.delete(waiter)
      if (running.waiters.size > 0) return left.resolve()
      running.stop.abort(waiter.signal.reason)
      void running.settled.then(() => left.resolve())
    }
    waiter.signal.addEventListener('abort', leave, { once: true })
    try {
      const settled = await Promise.race([running.settled, left.promise])
      if (settled === undefined || waiter.signal.aborted) throw cancelled(waiter.signal)
      if ('error' in settled) throw settled.error
      return this.#split(settled.result)
    } finally {
      waiter.signal.removeEventListener('abort', leave)
      running.waiters.delete(waiter)
    }
  }
}

function cancelled(signal: AbortSignal): CoveError {
  return CoveError.from(signal.reason, 'cancelled')
}
