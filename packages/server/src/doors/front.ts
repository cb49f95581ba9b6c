import { CoveError, type Log, type Random } from '@cove/domain'
import { tokenOf, unauthenticated } from '../auth/credentials.ts'
import type { KeyRing } from '../auth/key-ring.ts'
import type { OriginCheck } from '../auth/origin-check.ts'
import type { ConnectDoor } from './connect/connect-door.ts'
import type { Exchange, Request, Response } from './exchange.ts'
import type { HttpDoor } from './http/http-door.ts'
import { StatusError, answerError } from './json-error.ts'
import { requestIdOf } from './request-id.ts'

export interface FrontOptions {
  readonly keys: KeyRing
  readonly origins: OriginCheck
  readonly connect: ConnectDoor
  readonly http: HttpDoor
  readonly random: Random
  /** Bytes of the headers of one request. */
  readonly headerBytes: number
  readonly log: Log
  /** Told of every answer: the door, the status, and how long it took in milliseconds. */
  readonly onAnswer: (door: string, status: number, ms: number) => void
}

/** What every request passes: its id, the checks of host and origin, the key, and then its door. */
export class Front {
  readonly #options: FrontOptions

  constructor(options: FrontOptions) {
    this.#options = options
  }

  readonly handle = (request: Request, response: Response): void => {
    const began = performance.now()
    const requestId = requestIdOf(request.headers, this.#options.random)
    const url = request.url ?? '/'
    const mark = url.indexOf('?')
    const path = mark < 0 ? url : url.slice(0, mark)
    const query = mark < 0 ? '' : url.slice(mark + 1)
    const door = this.#options.connect.serves(path) ? 'connect' : 'http'
    response.on('error', (error: Error) =>
      this.#options.log.debug('an answer broke', { requestId, error: error.message }),
    )
    response.once('close', () => {
      const ms = performance.now() - began
      this.#options.onAnswer(door, response.statusCode, ms)
      this.#options.log.debug('request', { requestId, method: request.method, path, status: response.statusCode, ms })
    })
    const exchange = { request, response, requestId, path, query, principal: undefined }
    this.#pass(exchange, door).catch((error: unknown) => {
      this.#options.log.error('a request failed', { requestId, path, error: String(error) })
      answerError(exchange, error)
    })
  }

  async #pass(stranger: Exchange, door: 'connect' | 'http'): Promise<void> {
    const { request, response, requestId, path } = stranger
    const { keys, origins, connect, http } = this.#options
    if (headerBytes(request) > this.#options.headerBytes) {
      return answerError(
        stranger,
        new StatusError(431, new CoveError('payload-too-large', 'the headers are too large')),
      )
    }
    const authority = 'authority' in request ? request.authority : request.headers.host
    const refusal = origins.check(authority, request.headers.origin)
    if (refusal !== undefined) return answerError(stranger, new StatusError(refusal.status, refusal.error))
    const token = tokenOf(request.headers)
    const principal = token === undefined ? undefined : await keys.verify(token)
    const exchange: Exchange = { ...stranger, principal }
    if (principal === undefined && door === 'http' && !http.isOpen(path)) {
      return answerError(stranger, unauthenticated())
    }
    if (request.headers.expect !== undefined && principal !== undefined) response.writeContinue()
    response.setHeader('x-request-id', requestId)
    return door === 'connect' ? connect.handle(exchange) : http.handle(exchange)
  }
}

/** HTTP/1.1 bounds its headers while it parses them; HTTP/2 only asks the client to. */
function headerBytes(request: Request): number {
  if (!('stream' in request)) return 0
  return request.rawHeaders.reduce((sum, text) => sum + text.length, 0)
}
