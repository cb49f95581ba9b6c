import { CoveError } from '@cove/domain'
import type { RetryParts } from './retry.ts'

/** The server sends something every 15 seconds; three of them missing means that the connection is dead. */
const SILENCE_MS = 45_000

/**
 * Reads one connection's stream. Silence on it ends it with `connection-lost`; time that the reader takes does not
 * count. Leaving the loop ends the connection.
 */
export async function* noticingSilence<T>(
  { clock }: RetryParts,
  signal: AbortSignal | undefined,
  open: (signal: AbortSignal) => AsyncGenerator<T>,
): AsyncGenerator<T> {
  using watch = new SilenceWatch(clock, signal)
  const items = open(watch.signal)
  try {
    for (;;) {
      watch.begin()
      const item = await items.next()
      watch.end()
      if (item.done === true) return
      yield item.value
    }
  } finally {
    await items.return(undefined).catch(() => {})
  }
}

class SilenceWatch implements Disposable {
  readonly #controller = new AbortController()
  readonly #clock: RetryParts['clock']
  #waitingSince: number | undefined
  readonly signal: AbortSignal

  constructor(clock: RetryParts['clock'], signal: AbortSignal | undefined) {
    this.#clock = clock
    const own = this.#controller.signal
    this.signal = signal === undefined ? own : AbortSignal.any([signal, own])
    void this.#watch()
  }

  begin(): void {
    this.#waitingSince = this.#clock.monotonic()
  }

  end(): void {
    this.#waitingSince = undefined
  }

  async #watch(): Promise<void> {
    while (!this.signal.aborted) {
      await this.#clock.sleep(SILENCE_MS / 3, this.signal).catch(() => {})
      const since = this.#waitingSince
      if (since !== undefined && this.#clock.monotonic() - since >= SILENCE_MS) {
        this.#controller.abort(new CoveError('connection-lost', `nothing arrived for ${SILENCE_MS / 1000} s`))
      }
    }
  }

  [Symbol.dispose](): void {
    this.#controller.abort(new CoveError('cancelled', 'the stream was left'))
  }
}
