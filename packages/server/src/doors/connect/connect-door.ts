import { createContextValues } from '@connectrpc/connect'
import type { UniversalHandler, UniversalServerResponse } from '@connectrpc/connect/protocol'
import { CoveError, type Log } from '@cove/domain'
import { unauthenticated } from '../../auth/credentials.ts'
import type { Door } from '../door.ts'
import { clientSignal, cut, drained, unread, type Exchange, type Request } from '../exchange.ts'
import { StatusError, answerError, endUnread } from '../json-error.ts'
import { toConnectError } from './connect-error.ts'
import { tooLarge, tooSlow, type BodyLimits } from '../read-body.ts'
import { exchangeKey, isOpenService, type Services } from './router.ts'
import { handleUnary, unaryFormat, type UnaryMethod } from './unary-lane.ts'

/** Brings HTTP exchanges to the services and their answers back, with backpressure in both directions. */
export class ConnectDoor implements Door {
  readonly name = 'connect'
  readonly #handlers: ReadonlyMap<string, UniversalHandler>
  readonly #unary: ReadonlyMap<string, UnaryMethod>
  readonly #limits: BodyLimits
  readonly #log: Log

  constructor({ router, unary }: Services, limits: BodyLimits, log: Log) {
    this.#handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]))
    this.#unary = unary
    this.#limits = limits
    this.#log = log
  }

  serves(path: string): boolean {
    return this.#handlers.has(path)
  }

  /** It tells strangers itself, in the words of the protocol that they speak. */
  isOpen(): boolean {
    return true
  }

  async handle(exchange: Exchange): Promise<void> {
    const { request, response, requestId, path } = exchange
    const format = unaryFormat(request)
    const method = format === undefined ? undefined : this.#unary.get(path)
    if (format !== undefined && method !== undefined) return handleUnary(exchange, method, format, this.#limits)
    const handler = this.#handlers.get(path)
    if (handler === undefined) return
    const answer = await handler({
      httpVersion: request.httpVersion,
      url: `http://cove${request.url ?? path}`,
      method: request.method ?? 'POST',
      header: toHeaders(request),
      body: this.#body(request, requestId),
      signal: clientSignal(response),
      contextValues: createContextValues().set(exchangeKey, exchange),
    })
    // The library refuses what is no call at all before it asks for the key; a stranger is told of the key only.
    const stranger = exchange.principal === undefined && !isOpenService(handler.service.typeName)
    if (stranger && exchange.refusal === undefined && answer.status >= 400 && answer.status !== 401) {
      return answerError(exchange, unauthenticated())
    }
    const refusal = answer.body === undefined ? REFUSALS.get(answer.status) : undefined
    if (refusal !== undefined) {
      answer.header?.forEach((value, name) => void response.setHeader(name, value))
      return answerError(exchange, new StatusError(answer.status, refusal))
    }
    try {
      await send(exchange, answer)
    } catch (error) {
      this.#log.debug('an answer broke off', { requestId, error: CoveError.from(error).message })
      cut(response)
    }
  }

  /** Stops a body that is longer than announced, whose length was not announced, or that does not come. */
  async *#body(request: Request, requestId: string): AsyncGenerator<Uint8Array> {
    const { bytes, ms } = this.#limits
    let slow = false
    const timer = setTimeout(() => {
      slow = true
      request.destroy()
    }, ms)
    // The envelope of the streaming protocols is 5 bytes more.
    let left = bytes + 5
    try {
      for await (const chunk of unread(request)) {
        left -= chunk.length
        if (left < 0) throw toConnectError(tooLarge(bytes), requestId)
        yield chunk
      }
    } catch (error) {
      throw slow ? toConnectError(tooSlow(ms), requestId) : error
    } finally {
      clearTimeout(timer)
    }
  }
}

/** What the library refuses with a bare status: people who try with curl want to know why. */
const REFUSALS: ReadonlyMap<number, CoveError> = new Map([
  [405, new CoveError('unsupported', 'this method is called with another verb', {}, { fix: 'Call it with POST.' })],
  [
    415,
    new CoveError(
      'unsupported',
      'the Content-Type is none that this method takes',
      {},
      { fix: 'Send JSON with `Content-Type: application/json`, or speak Connect, gRPC or gRPC-Web.' },
    ),
  ],
])

function toHeaders(request: Request): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined || name.startsWith(':')) continue
    if (typeof value === 'string') headers.set(name, value)
    else for (const one of value) headers.append(name, one)
  }
  return headers
}

async function send(exchange: Exchange, { status, header, body, trailer }: UniversalServerResponse): Promise<void> {
  const { response } = exchange
  header?.forEach((value, name) => void response.setHeader(name, value))
  if (status === 401) response.setHeader('www-authenticate', 'Bearer')
  if (status >= 400) endUnread(exchange)
  // HTTP/2 loses the trailers of an answer without a body unless its headers are sent first.
  response.writeHead(status)
  if (body !== undefined) {
    for await (const chunk of body) {
      if (!response.write(chunk)) await drained(response)
    }
  }
  if (trailer !== undefined) {
    const fields: Record<string, string> = {}
    trailer.forEach((value, name) => void (fields[name] = value))
    response.addTrailers(fields)
  }
  response.end()
}
