import { setTimeout as delay } from 'node:timers/promises'
import { CoveError } from '@cove/domain'

/** Longer pauses are the caller's to make. */
const MAX_PAUSE_MS = 60_000

/** What may pass by itself; `error` is what it is when it does not. It stays in this folder. */
export class TemporaryFault extends Error {
  readonly error: CoveError
  /** When the other side says so. */
  readonly retryAfterMs: number | undefined

  constructor(error: CoveError, retryAfterMs?: number) {
    super(error.message, { cause: error })
    this.error = error
    this.retryAfterMs = retryAfterMs
  }
}

export interface Patience {
  readonly retries: number
  /** The first pause; each is twice the one before. */
  readonly backoffMs: number
  readonly signal: AbortSignal
}

/** Repeats what fails for a time. `progress` grows with what has been reached: as long as it does, nothing is lost. */
export async function patiently<T>(
  attempt: () => Promise<T>,
  { retries, backoffMs, signal }: Patience,
  progress: () => number = () => 0,
): Promise<T> {
  let reached = progress()
  for (let failed = 0; ; failed++) {
    try {
      if (signal.aborted) throw cancelled(signal)
      return await attempt()
    } catch (error) {
      if (signal.aborted) throw cancelled(signal)
      if (!(error instanceof TemporaryFault)) throw CoveError.from(error, 'io-error')
      if (progress() > reached) failed = 0
      reached = progress()
      const asked = error.retryAfterMs ?? 0
      if (failed >= retries || asked > MAX_PAUSE_MS) throw error.error
      // Not all who were refused together should come back together.
      const pause = Math.min(MAX_PAUSE_MS, backoffMs * 2 ** failed) * (0.75 + Math.random() / 2)
      await delay(Math.max(asked, pause), undefined, { signal }).catch(() => undefined)
    }
  }
}

export function cancelled(signal: AbortSignal): CoveError {
  return CoveError.from(signal.reason, 'cancelled')
}

/** `Retry-After`, a number of seconds or a date, in milliseconds from now. */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1_000
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

/** Waits no longer than the signal allows. The work itself goes on, for others may wait for it. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(cancelled(signal))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
