import { CoveError } from '@cove/domain'

/** The error of a call whose signal has aborted: `cancelled`, or `deadline-exceeded` when a timeout did it. */
export function cancelled(signal: AbortSignal): CoveError {
  const reason: unknown = signal.reason
  if (reason instanceof CoveError) return reason
  if (reason instanceof Error && reason.name === 'TimeoutError') return CoveError.from(reason)
  return new CoveError('cancelled', 'the call was cancelled', {}, { cause: reason })
}

export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw cancelled(signal)
}
