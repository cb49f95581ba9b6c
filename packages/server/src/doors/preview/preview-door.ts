import type { IncomingMessage } from 'node:http'
import { CoveError, type Log } from '@cove/domain'
import type { Connections } from '../../ports/connections.ts'
import type { HostDoor, Upgrade } from '../door.ts'
import { cut, isGone, type Exchange, type Request } from '../exchange.ts'
import { StatusError, endUnread, errorBody } from '../json-error.ts'
import { logFailure } from '../log-failure.ts'
import { wantsUpgrade } from '../wants-upgrade.ts'
import { PreviewAccess, type AccessParts, type Opened } from './access.ts'
import { forwardUpgrade } from './forward-upgrade.ts'
import { Forwarding } from './forwarding.ts'
import { logIn, splitQuery } from './login.ts'
import { PAGE_POLICY, problemPage } from './page.ts'
import { ConnectionPool } from './pool.ts'
import { problemOf, stateProblem, type Problem } from './problem.ts'
import { bodyFraming, requestHead } from './request-head.ts'

export interface PreviewDoorParts extends AccessParts {
  readonly connections: Connections
  /** Bytes of the headers of one request. */
  readonly headerBytes: number
  readonly closing: AbortSignal
  readonly log: Log
}

/** Brings browsers and programs to the servers inside sandboxes. */
export class PreviewDoor implements HostDoor {
  readonly name = 'preview'
  readonly #parts: PreviewDoorParts
  readonly #access: PreviewAccess
  readonly #pool: ConnectionPool

  constructor(parts: PreviewDoorParts) {
    this.#parts = parts
    this.#access = new PreviewAccess(parts)
    this.#pool = new ConnectionPool(parts.sandboxes, parts.connections)
    parts.closing.addEventListener('abort', () => this.#pool.close(), { once: true })
  }

  serves(authority: string | undefined, headers: IncomingMessage['headers']): boolean {
    return headers['cove-sandbox'] !== undefined || this.#parts.hosts.parse(authority) !== undefined
  }

  async handle(exchange: Exchange): Promise<void> {
    const { hosts, connections, headerBytes } = this.#parts
    try {
      const { request, from } = exchange
      checkTarget(request, headerBytes)
      const { token, rest } = splitQuery(exchange.query)
      const host = token === undefined || request.method !== 'GET' ? undefined : this.#hostOf(request)
      if (token !== undefined && host !== undefined) return await logIn(exchange, host, token, this.#parts)
      const access = this.#access.open(request, from, false)
      const opened = this.#running(access instanceof Promise ? await access : access)
      const { id } = opened.sandbox.spec
      const target = token === undefined ? (request.url ?? '/') : withQuery(exchange.path, rest)
      await new Forwarding({
        exchange,
        opened,
        head: requestHead(request, target, opened, from, hosts),
        framing: bodyFraming(request),
        pool: this.#pool,
        closing: this.#parts.closing,
        onTraffic: () => connections.touch(id),
      }).run()
    } catch (thrown) {
      this.#refuse(exchange, thrown)
    }
  }

  async upgrade(upgrade: Upgrade): Promise<void> {
    const { hosts, connections, closing } = this.#parts
    const { request, from } = upgrade
    try {
      checkTarget(request, this.#parts.headerBytes)
      // Older versions of Node bring every offer here.
      if (!wantsUpgrade(request)) throw new StatusError(501, new CoveError('unsupported', 'send this without Upgrade'))
      const opened = this.#running(await this.#access.open(request, from, true))
      const { sandbox, address, ended } = opened
      const { token, rest } = splitQuery(upgrade.query)
      const target = token === undefined ? (request.url ?? '/') : withQuery(upgrade.path, rest)
      const connection = await this.#pool.open(sandbox, address.port)
      await forwardUpgrade({
        upgrade,
        opened,
        head: requestHead(request, target, opened, from, hosts),
        connection,
        signal: ended === undefined ? closing : AbortSignal.any([closing, ended]),
        onTraffic: () => connections.touch(sandbox.spec.id),
      })
    } catch (thrown) {
      const { status, error } = thrown instanceof Refusal ? thrown.problem : problemOf(thrown)
      throw new StatusError(status, error)
    }
  }

  #hostOf(request: Request) {
    return this.#parts.hosts.parse('authority' in request ? request.authority : request.headers.host)
  }

  #running(opened: Opened): Opened {
    const problem = stateProblem(opened.sandbox, opened.toEverybody === true)
    if (problem !== undefined) throw new Refusal(problem)
    return opened
  }

  #refuse(exchange: Exchange, thrown: unknown): void {
    const { request, response, requestId, path } = exchange
    const problem = thrown instanceof Refusal ? thrown.problem : problemOf(thrown)
    logFailure(this.#parts.log, problem.error, { requestId, path })
    if (isGone(response)) return
    if (response.headersSent) {
      cut(response)
      return
    }
    const { status, error, retryAfter } = problem
    const asPage = request.method !== 'POST' && /\btext\/html\b/.test(request.headers.accept ?? '')
    const body = asPage ? problemPage(problem, requestId) : `${errorBody(error, requestId)}\n`
    response.statusCode = status
    response.setHeader('content-type', asPage ? 'text/html; charset=utf-8' : 'application/json')
    response.setHeader('content-length', Buffer.byteLength(body))
    response.setHeader('x-request-id', requestId)
    response.setHeader('cache-control', 'no-store')
    response.setHeader('x-content-type-options', 'nosniff')
    response.setHeader('referrer-policy', 'no-referrer')
    if (asPage) response.setHeader('content-security-policy', PAGE_POLICY)
    if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter)
    if (status === 401) response.setHeader('www-authenticate', 'Bearer')
    endUnread(exchange)
    response.end(request.method === 'HEAD' ? '' : body)
  }
}

/** A state of the sandbox in which nothing goes in. */
class Refusal extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.title)
    this.problem = problem
  }
}

const METHOD = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32}$/

function checkTarget(request: Request, headerBytes: number): void {
  const { url = '/', method = '' } = request
  if (method === 'CONNECT' || !METHOD.test(method)) {
    throw new StatusError(400, new CoveError('invalid-argument', 'requests with this method are not passed on'))
  }
  if (!url.startsWith('/') && !(url === '*' && method === 'OPTIONS')) {
    throw new StatusError(400, new CoveError('invalid-argument', 'the target of the request is no path'))
  }
  // HTTP/1.1 bounds its headers while it parses them; HTTP/2 only asks the client to.
  if (!('stream' in request)) return
  if (/[\0-\x20\x7f-\uffff]/.test(url)) {
    throw new StatusError(400, new CoveError('invalid-argument', 'the path has characters that a path cannot have'))
  }
  const { rawHeaders } = request
  if (rawHeaders.reduce((sum, text) => sum + text.length, 0) > headerBytes) {
    throw new StatusError(431, new CoveError('payload-too-large', 'the headers are too large'))
  }
}

function withQuery(path: string, query: string): string {
  return query === '' ? path : `${path}?${query}`
}
