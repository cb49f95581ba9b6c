import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { CoveError, type Clock, type Log, type Random } from '@cove/domain'
import type { Audit } from '../audit/audit.ts'
import type { Authenticator, Caller } from '../auth/authenticator.ts'
import { unauthenticated } from '../auth/credentials.ts'
import type { OriginCheck } from '../auth/origin-check.ts'
import { addressKey } from '../auth/rate-limiter.ts'
import { UnderWay } from '../auth/under-way.ts'
import { answerOrigin } from './cors.ts'
import type { Door, HostDoor, Upgrade } from './door.ts'
import { authorityOf, isGone, type Exchange, type Request, type Response } from './exchange.ts'
import { StatusError, answerError } from './json-error.ts'
import { refuseUpgrade } from './refuse-upgrade.ts'
import { requestIdOf } from './request-id.ts'

export interface FrontOptions {
  readonly callers: Authenticator
  readonly origins: OriginCheck
  readonly audit: Audit
  readonly clock: Clock
  /** Chosen by host name, before everything else; the first that serves the request takes it. */
  readonly hostDoors: readonly HostDoor[]
  /** Chosen by path; the first that serves it takes it. */
  readonly doors: readonly Door[]
  readonly random: Random
  /** Bytes of the headers of one request. */
  readonly headerBytes: number
  /** Calls of one key under way at once. */
  readonly callsUnderWay: number
  readonly log: Log
  /** Told of every answer: the door, the status, and how long it took in milliseconds. */
  readonly onAnswer: (door: string, status: number, ms: number) => void
}

/** What every request passes: its id, the checks of host and origin, the key, and then its door. */
export class Front {
  readonly #options: FrontOptions
  readonly #underWay: UnderWay

  constructor(options: FrontOptions) {
    this.#options = options
    this.#underWay = new UnderWay(options.callsUnderWay)
  }

  readonly handle = (request: Request, response: Response): void => {
    const began = performance.now()
    const stranger = this.#meet(request)
    const { requestId, path } = stranger
    const hostDoor = this.#hostDoor(request)
    const door = hostDoor === undefined ? this.#door(path) : undefined
    const name = hostDoor?.name ?? door?.name ?? 'none'
    response.on('error', (error: Error) =>
      this.#options.log.debug('an answer broke', { requestId, error: error.message }),
    )
    response.once('close', () => {
      const ms = performance.now() - began
      this.#options.onAnswer(name, response.statusCode, ms)
      this.#options.log.debug('request', { requestId, method: request.method, path, status: response.statusCode, ms })
    })
    const exchange = { ...stranger, request, response, principal: undefined }
    const passing = hostDoor === undefined ? this.#pass(exchange, door) : hostDoor.handle(exchange)
    passing.catch((error: unknown) => {
      this.#options.log.error('a request failed', { requestId, path, error: String(error) })
      answerError(exchange, error)
    })
  }

  readonly upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const { log } = this.#options
    const stranger = this.#meet(request)
    const { requestId, path } = stranger
    // Node leaves the socket to whoever handles the upgrade, its errors too.
    socket.on('error', (error: Error) => log.debug('an upgraded connection broke', { requestId, error: error.message }))
    const upgrade = { ...stranger, request, socket, head, principal: undefined }
    const hostDoor = this.#hostDoor(request)
    const passing = hostDoor === undefined ? this.#passUpgrade(upgrade) : hostDoor.upgrade(upgrade)
    passing.catch((error: unknown) => {
      log.debug('an upgrade was refused', { requestId, path, error: String(error) })
      refuseUpgrade(socket, error, requestId)
    })
  }

  async #pass(stranger: Exchange, door: Door | undefined): Promise<void> {
    const { request, response, requestId, path } = stranger
    if (answerOrigin(stranger, this.#options.origins)) return
    const signed = door?.isSigned?.(path, stranger.query) === true
    const { principal, refusal } = this.#let(stranger, await this.#check(stranger, signed), signed)
    const isStranger = principal === undefined && (!signed || refusal !== undefined)
    if (door === undefined || (isStranger && !door.isOpen(path))) {
      throw refusal ?? unauthenticated()
    }
    if (request.headers.expect !== undefined && principal !== undefined) response.writeContinue()
    response.setHeader('x-request-id', requestId)
    return door.handle({ ...stranger, principal, ...(refusal === undefined ? {} : { refusal }) })
  }

  /** Turns away whoever has too many calls under way; counts this one as long as its answer takes. */
  #let({ response, from }: Exchange, caller: Caller, signed: boolean): Caller {
    const { principal } = caller
    const key = signed ? addressKey(from) : (principal?.sandbox ?? principal?.key)
    if (key === undefined || isGone(response)) return caller
    const leave = this.#underWay.enter(key)
    if (leave === undefined) return { refusal: this.#underWay.refusal() }
    response.once('close', leave)
    return caller
  }

  async #passUpgrade(stranger: Upgrade): Promise<void> {
    const { principal, refusal } = await this.#check(stranger, false)
    const door = this.#door(stranger.path)
    if (principal === undefined) throw refusal ?? unauthenticated()
    if (door?.upgrade === undefined) {
      const error = new CoveError('unsupported', 'there is nothing to upgrade to at this path')
      throw new StatusError(404, error)
    }
    return door.upgrade({ ...stranger, principal })
  }

  async #check({ request, requestId, path, from }: Meeting, signed: boolean): Promise<Caller> {
    const { callers, origins } = this.#options
    if (headerBytes(request) > this.#options.headerBytes) {
      throw new StatusError(431, new CoveError('payload-too-large', 'the headers are too large'))
    }
    const refused = origins.check(authorityOf(request), signed ? undefined : request.headers.origin)
    if (refused !== undefined) throw new StatusError(refused.status, refused.error)
    if (signed) return {}
    const caller = await callers.authenticate(request.headers, from)
    if (caller.wrongKey === true) this.#recordWrongKey(requestId, path, from)
    return caller
  }

  #recordWrongKey(requestId: string, path: string, from: string): void {
    this.#options.audit.record({
      at: this.#options.clock.now(),
      project: '',
      key: '',
      role: 'viewer',
      action: 'auth/refused',
      target: '',
      details: { path: path.slice(0, 256) },
      from,
      outcome: 'unauthenticated',
      requestId,
    })
  }

  #meet(request: Request) {
    const url = request.url ?? '/'
    const mark = url.indexOf('?')
    return {
      requestId: requestIdOf(request.headers, this.#options.random),
      path: mark < 0 ? url : url.slice(0, mark),
      query: mark < 0 ? '' : url.slice(mark + 1),
      from: request.socket.remoteAddress ?? '',
    }
  }

  #hostDoor(request: Request): HostDoor | undefined {
    return this.#options.hostDoors.find((door) => door.serves(authorityOf(request), request.headers))
  }

  #door(path: string): Door | undefined {
    return this.#options.doors.find((door) => door.serves(path))
  }
}

interface Meeting {
  readonly request: Request
  readonly requestId: string
  readonly path: string
  readonly from: string
}

/** HTTP/1.1 bounds its headers while it parses them; HTTP/2 only asks the client to. */
function headerBytes(request: Request): number {
  if (!('stream' in request)) return 0
  return request.rawHeaders.reduce((sum, text) => sum + text.length, 0)
}
