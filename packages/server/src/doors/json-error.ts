import { CoveError, ERROR_CODES } from '@cove/domain'
import { retryAfter } from '../auth/rate-limiter.ts'
import { cut, type Exchange } from './exchange.ts'

/** An error whose HTTP status is not that of its code, because the status says something about HTTP itself. */
export class StatusError extends Error {
  readonly status: number
  readonly error: CoveError

  constructor(status: number, error: CoveError) {
    super(error.message)
    this.status = status
    this.error = error
  }
}

/** How every plain HTTP path says that something went wrong. */
export function errorBody(error: CoveError, requestId: string): string {
  const { code, message, fix, context } = error
  return JSON.stringify({ code, message, fix, requestId, ...(Object.keys(context).length > 0 ? { context } : {}) })
}

/** Answers with the error, or cuts the connection when the answer has begun: then only that can tell. */
export function answerError(exchange: Exchange, thrown: unknown): void {
  const { request, response, requestId } = exchange
  const error = thrown instanceof StatusError ? thrown.error : CoveError.from(thrown)
  const status = thrown instanceof StatusError ? thrown.status : ERROR_CODES[error.code].http
  if (response.headersSent) {
    cut(response)
    return
  }
  const body = request.method === 'HEAD' ? '' : `${errorBody(error, requestId)}\n`
  response.statusCode = status
  response.setHeader('content-type', 'application/json')
  response.setHeader('x-request-id', requestId)
  if (body !== '') response.setHeader('content-length', Buffer.byteLength(body))
  if (status === 401) response.setHeader('www-authenticate', 'Bearer')
  const wait = retryAfter(error)
  if (wait !== undefined) response.setHeader('retry-after', wait)
  endUnread(exchange)
  response.end(body)
}

/** How long a client whose body is not read any more may take to see the answer, and how much of it is skipped. */
const LINGER_MS = 2_000
const LINGER_BYTES = 256 * 1024 * 1024

/**
 * An answer that comes before the whole body was read ends the connection; but at once would make the kernel reset
 * it, and the client would not see the answer. So only our side is ended, and the rest is skipped for a bounded
 * while.
 */
export function endUnread({ request, response }: Exchange): void {
  if (request.complete || 'stream' in request) return
  const { socket } = request
  response.setHeader('connection', 'close')
  // This is what Node calls behind the last answer of a connection.
  socket.destroySoon = () => void socket.end()
  let skipped = 0
  request.on('data', (chunk: Buffer) => {
    skipped += chunk.length
    if (skipped > LINGER_BYTES) socket.destroy()
  })
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
}
