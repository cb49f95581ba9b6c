/** One at a time for each key, in the order of asking. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>()

  /** Rejects with the signal's reason when it aborts before the turn has come; the work then does not begin. */
  async take<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve()
    const { promise: done, resolve: finish } = Promise.withResolvers<void>()
    const mine = before.then(() => done)
    this.#last.set(key, mine)
    try {
      await untilAborted(before, signal)
      return await work()
    } finally {
      finish()
      if (this.#last.get(key) === mine) this.#last.delete(key)
    }
  }
}

async function untilAborted(turn: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([turn, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
