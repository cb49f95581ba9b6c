import { CoveError, type Clock } from '@cove/domain'

/** The error of an aborted signal: its reason when that is one of ours, else `cancelled` or `deadline-exceeded`. */
export function abortError(signal: AbortSignal): CoveError {
  return CoveError.from(signal.reason, 'cancelled')
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal)
}

/** The promise's outcome, or the signal's error as soon as it aborts; the promise itself goes on. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise
  if (signal.aborted) {
    promise.catch(() => {})
    throw abortError(signal)
  }
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(abortError(signal))
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** A signal that aborts with any of these. */
export function anySignal(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((signal) => signal !== undefined))
}

/** Ends a deadline's sleep. One for all: an error of its own for each would cost more than the rest of it. */
const IN_TIME = new Error('done in time')

/** Runs `work` with a signal that also aborts with `deadline-exceeded` after `ms`. */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  what: string,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController()
  const done = new AbortController()
  const expire = (): void => late.abort(new CoveError('deadline-exceeded', `${what} took longer than ${ms} ms`, { ms }))
  clock.sleep(ms, done.signal).then(expire, () => {})
  const combined = anySignal(signal, late.signal)
  try {
    return await abortable(work(combined), combined)
  } finally {
    done.abort(IN_TIME)
  }
}
