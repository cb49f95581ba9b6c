import { Agent as PlainAgent, request as plainRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { Agent as SecureAgent, request as secureRequest } from 'node:https'
import { getCACertificates } from 'node:tls'
import { CoveError } from '@cove/domain'
import { addressOf, forbidden, isPrivateAddress, publicLookup } from './addresses.ts'
import { connectionFault } from './faults.ts'
import { cancelled, TemporaryFault } from './temporary-fault.ts'

const MAX_REDIRECTS = 5
const MAX_HEADERS = 64 * 1024
/** Connections to one server that are kept while nobody uses them. */
const KEPT = 4
/** Of a body that nobody wants: cheaper to read than a new connection. */
const MAX_DRAIN = 16 * 1024

export interface HttpRequest {
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as a form, by POST. */
  readonly form?: URLSearchParams
  /** `public`: refused when it leads, directly or by a name, to this machine or its network. */
  readonly reach: 'anything' | 'public'
  readonly signal: AbortSignal
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly url: URL
  /** Whether it came from this machine or its network. */
  readonly fromPrivate: boolean
  /** Throws `TemporaryFault` when the stream breaks or stalls. Leaving it early closes the connection. */
  body(): AsyncGenerator<Buffer, void, void>
  /** The body, when it has at most so many bytes; `undefined` otherwise, without reading on. */
  bytes(most: number): Promise<Buffer | undefined>
  discard(): void
}

export interface HttpClientOptions {
  readonly certificateAuthorities: readonly string[]
  /** Gives up when no byte has come for so long. */
  readonly stallMs: number
}

/** HTTP as registries need it: redirects under rules, no answer that hangs, connections kept. */
export class HttpClient implements Disposable {
  readonly #stallMs: number
  readonly #authorities: readonly string[]
  readonly #agents = new Map<string, PlainAgent>()

  constructor({ certificateAuthorities, stallMs }: HttpClientOptions) {
    this.#authorities = certificateAuthorities
    this.#stallMs = stallMs
  }

  [Symbol.dispose](): void {
    for (const agent of this.#agents.values()) agent.destroy()
  }

  /**
   * Follows redirects; `Authorization` stays with its origin, nothing goes from https to http, and a server of the
   * public internet sends nobody to this machine or its network.
   */
  async get(request: HttpRequest): Promise<HttpAnswer> {
    let { url, headers = {}, reach } = request
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const answer = await this.#send({ ...request, url, headers, reach })
      const { location } = answer.headers
      if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return answer
      answer.discard()
      if (request.form !== undefined) break
      const next = URL.parse(location, url.href)
      if (next === null || !isAllowed(url, next)) throw badRedirect(url)
      if (!answer.fromPrivate) reach = 'public'
      if (next.origin !== url.origin) headers = withoutAuthorization(headers)
      url = next
    }
    throw badRedirect(url)
  }

  async #send(request: HttpRequest): Promise<HttpAnswer> {
    const { url, reach, signal } = request
    const address = addressOf(url)
    if (reach === 'public' && address !== undefined && isPrivateAddress(address)) throw forbidden(url.hostname)
    const stall = new Stall(this.#stallMs, url)
    try {
      const incoming = await this.#exchange(request, stall)
      return toAnswer(incoming.message, incoming.fromPrivate, url, stall, signal)
    } catch (error) {
      if (signal.aborted) throw cancelled(signal)
      throw connectionFault(error, url)
    } finally {
      stall.stop()
    }
  }

  #exchange(request: HttpRequest, stall: Stall): Promise<Received> {
    const { url, headers = {}, form, reach, signal } = request
    const secure = url.protocol === 'https:'
    const body = form?.toString()
    return new Promise((resolve, reject) => {
      const outgoing = (secure ? secureRequest : plainRequest)(url, {
        method: body === undefined ? 'GET' : 'POST',
        agent: this.#agent(secure, reach),
        ...(reach === 'public' ? { lookup: publicLookup } : {}),
        maxHeaderSize: MAX_HEADERS,
        signal,
        headers: {
          'User-Agent': 'cove',
          // Layers are compressed as they are; what is compressed once more has no known size.
          'Accept-Encoding': 'identity',
          ...(body === undefined ? {} : { 'Content-Type': 'application/x-www-form-urlencoded' }),
          ...headers,
        },
      })
      stall.start((fault) => outgoing.destroy(fault))
      // Asked early: a connection that has been closed knows no address any more.
      let fromPrivate = false
      outgoing.on('socket', (socket) => {
        const look = (): void => {
          const remote = socket.remoteAddress
          fromPrivate = remote !== undefined && isPrivateAddress(remote)
        }
        if (socket.connecting) socket.once('connect', look)
        else look()
      })
      outgoing.on('response', (message) => resolve({ message, fromPrivate }))
      outgoing.on('error', (error) => {
        // A kept connection may have been closed by the other side in this very moment.
        const stale = outgoing.reusedSocket && 'code' in error && error.code === 'ECONNRESET' && !signal.aborted
        if (stale) resolve(this.#exchange(request, stall))
        else reject(error)
      })
      outgoing.end(body)
    })
  }

  /** Connections that have been checked and those that have not are never mixed. */
  #agent(secure: boolean, reach: HttpRequest['reach']): PlainAgent {
    const key = `${secure} ${reach}`
    const found = this.#agents.get(key)
    if (found !== undefined) return found
    // Nobody waits for a free connection: it would be taken for a server that has gone quiet.
    const options = { keepAlive: true, maxFreeSockets: KEPT }
    const agent = secure ? new SecureAgent({ ...options, ca: this.#trusted() }) : new PlainAgent(options)
    this.#agents.set(key, agent)
    return agent
  }

  /** Those of Node, of the system (where companies put theirs) and of the configuration. */
  #trusted(): string[] {
    return [...new Set([...getCACertificates('default'), ...getCACertificates('system'), ...this.#authorities])]
  }
}

/** Ends what has gone quiet. Runs only while a byte is waited for. */
class Stall {
  readonly #ms: number
  readonly #url: URL
  #timer: NodeJS.Timeout | undefined

  constructor(ms: number, url: URL) {
    this.#ms = ms
    this.#url = url
  }

  start(end: (fault: TemporaryFault) => void): void {
    this.stop()
    const seconds = Math.ceil(this.#ms / 1_000)
    const message = `${this.#url.host} has gone quiet: no byte for ${seconds} s`
    this.#timer = setTimeout(() => end(new TemporaryFault(new CoveError('registry-unavailable', message))), this.#ms)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}

interface Received {
  readonly message: IncomingMessage
  readonly fromPrivate: boolean
}

function toAnswer(
  incoming: IncomingMessage,
  fromPrivate: boolean,
  url: URL,
  stall: Stall,
  signal: AbortSignal,
): HttpAnswer {
  // Errors of a body that nobody reads any more are nobody's.
  incoming.on('error', () => undefined)
  const body = async function* (): AsyncGenerator<Buffer, void, void> {
    const chunks = incoming[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>
    try {
      for (;;) {
        stall.start((fault) => incoming.destroy(fault))
        const { value, done } = await chunks.next()
        stall.stop()
        if (done === true) return
        yield value
      }
    } catch (error) {
      if (signal.aborted) throw cancelled(signal)
      throw connectionFault(error, url)
    } finally {
      stall.stop()
      incoming.destroy()
    }
  }
  return {
    status: incoming.statusCode ?? 0,
    headers: incoming.headers,
    url,
    fromPrivate,
    body,
    bytes: async (most) => {
      const chunks: Buffer[] = []
      let length = Number(incoming.headers['content-length'] ?? 0)
      if (length <= most) {
        length = 0
        for await (const chunk of body()) {
          length += chunk.length
          if (length > most) break
          chunks.push(chunk)
        }
      }
      if (length > most) {
        incoming.destroy()
        return undefined
      }
      return Buffer.concat(chunks)
    },
    discard: () => {
      if (Number(incoming.headers['content-length'] ?? Infinity) > MAX_DRAIN) return void incoming.destroy()
      stall.start((fault) => incoming.destroy(fault))
      incoming.once('close', () => stall.stop())
      incoming.resume()
    },
  }
}

function isAllowed(from: URL, to: URL): boolean {
  return to.protocol === 'https:' || (to.protocol === 'http:' && from.protocol === 'http:')
}

function withoutAuthorization(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'))
}

function badRedirect(url: URL): CoveError {
  return new CoveError(
    'image-invalid',
    `${url.host} sends elsewhere too often, or to where nobody may be sent`,
    {},
    { fix: 'Use another registry; this one sends in circles or away from https.' },
  )
}
