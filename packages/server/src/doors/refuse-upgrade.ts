import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { CoveError, ERROR_CODES } from '@cove/domain'
import { retryAfter } from '../auth/rate-limiter.ts'
import { StatusError, errorBody } from './json-error.ts'

/** How long a client may take to see the answer and to end its side. */
const LINGER_MS = 2_000

/** Answers a request for another protocol with an error, as plain HTTP/1.1, and ends the connection. */
export function refuseUpgrade(socket: Duplex, thrown: unknown, requestId: string): void {
  const error = thrown instanceof StatusError ? thrown.error : CoveError.from(thrown)
  const status = thrown instanceof StatusError ? thrown.status : ERROR_CODES[error.code].http
  const wait = retryAfter(error)
  const body = `${errorBody(error, requestId)}\n`
  // Its side may stay open as long as it likes, and what it sends meanwhile is nobody's.
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
  socket.resume()
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(body)}`,
      `x-request-id: ${requestId}`,
      ...(wait === undefined ? [] : [`retry-after: ${wait}`]),
      ...(status === 401 ? ['www-authenticate: Bearer'] : []),
      'connection: close',
      '',
      body,
    ].join('\r\n'),
  )
}
