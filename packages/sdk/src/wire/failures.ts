import { CoveError } from '@cove/domain'

const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** What an aborted signal means: `deadline-exceeded` for a timeout, else `cancelled`. */
export function aborted(signal: AbortSignal): CoveError {
  const reason: unknown = signal.reason
  if (reason instanceof CoveError) return reason
  if (reason instanceof Error && reason.name === 'TimeoutError') {
    return new CoveError('deadline-exceeded', 'the call took too long', {}, { cause: reason })
  }
  return new CoveError('cancelled', 'the call was cancelled', {}, { cause: reason })
}

/** Turns whatever a connection failed with into one of three errors; nothing else leaves the transport. */
export function connectionFailure(thrown: unknown, url: string, signal?: AbortSignal): CoveError {
  if (signal?.aborted === true) return aborted(signal)
  if (thrown instanceof CoveError) return thrown
  const code = errno(thrown)
  if (code !== undefined && NEVER_SENT.has(code)) {
    return new CoveError(
      'daemon-not-running',
      `Cove does not answer at ${url}`,
      { url, errno: code },
      { cause: thrown },
    )
  }
  const why = thrown instanceof Error ? thrown.message : String(thrown)
  return new CoveError('connection-lost', `the connection to ${url} was lost: ${why}`, { url }, { cause: thrown })
}

function errno(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined
  if ('code' in thrown && typeof thrown.code === 'string') return thrown.code
  // `fetch` hides the socket's error in the cause, and hides several tries in an AggregateError.
  if ('errors' in thrown && Array.isArray(thrown.errors)) return errno(thrown.errors[0])
  return 'cause' in thrown ? errno(thrown.cause) : undefined
}
