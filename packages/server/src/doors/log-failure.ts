import type { CoveError, ErrorCode, Log, LogFields } from '@cove/domain'

/** What whoever runs the server has to look at; the rest is between the caller and the method. */
const OURS: ReadonlySet<ErrorCode> = new Set([
  'driver-failed',
  'guest-protocol',
  'guest-unreachable',
  'internal',
  'io-error',
  'launcher-unavailable',
  'store-compacted',
  'store-corrupt',
  'store-locked',
])

export function logFailure(log: Log, error: CoveError, fields: LogFields): void {
  const all = { ...fields, code: error.code, error: error.message }
  if (!OURS.has(error.code)) log.debug('a call was refused', all)
  else if (error.code === 'internal') log.error('a call failed', { ...all, stack: stackOf(error) })
  else log.warn('a call failed', { ...all, stack: stackOf(error) })
}

/** Where an error came from first. */
function stackOf(error: Error): string {
  let origin = error
  for (let depth = 0; depth < 8 && origin.cause instanceof Error; depth++) origin = origin.cause
  return origin.stack ?? origin.message
}
