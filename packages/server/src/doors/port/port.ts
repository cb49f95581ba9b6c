import { createServer as createHttp1, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttp2, type Http2Server, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { CoveError, type Log } from '@cove/domain'
import type { ServerLimits } from '../../options.ts'
import type { Request, Response } from '../exchange.ts'
import { wantsUpgrade } from '../wants-upgrade.ts'
import { Mux } from './mux.ts'

/** What is asked on the port. */
export interface Handler {
  readonly handle: (request: Request, response: Response) => void
  /** A request of HTTP/1.1 for another protocol; the socket is the handler's from then on. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
}

export interface ListenOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
}

/** Streams of one HTTP/2 connection at once. */
const STREAMS = 256
/** What an HTTP/2 client may send ahead of its reader, per stream. */
const WINDOW_BYTES = 1024 * 1024

/** The one port: sockets, protocols and their bounds. What is asked on it is the handler's. */
export class Port {
  readonly #http1: Server
  readonly #http2: Http2Server
  readonly #mux: Mux
  readonly #sessions = new Set<ServerHttp2Session>()
  #closing = false

  constructor(handler: Handler, limits: ServerLimits, log: Log) {
    this.#http1 = createHttp1({
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      // Uploads may take as long as they like; standing still is bounded where bodies are read.
      requestTimeout: 0,
      keepAliveTimeout: limits.idleConnectionMs,
      connectionsCheckingInterval: Math.min(1_000, limits.headersMs),
      shouldUpgradeCallback: wantsUpgrade,
    })
    const handleHttp1 = (request: IncomingMessage, response: ServerResponse): void => {
      response.once('close', this.#afterAnswer)
      handler.handle(request, response)
    }
    this.#http1.on('request', handleHttp1)
    this.#http1.on('checkContinue', handleHttp1)
    this.#http1.on('upgrade', handler.upgrade)
    // It never listens itself, and looks for slow headers only from that event on.
    this.#http1.emit('listening')
    this.#http2 = createHttp2({
      settings: {
        maxConcurrentStreams: STREAMS,
        initialWindowSize: WINDOW_BYTES,
        maxHeaderListSize: limits.headerBytes,
        enablePush: false,
      },
      maxSessionMemory: 64,
    })
    this.#http2.on('request', handler.handle)
    this.#http2.on('checkContinue', handler.handle)
    this.#http2.on('session', (session) => this.#keep(session, limits.idleConnectionMs))
    this.#http2.on('sessionError', (error) => log.debug('an HTTP/2 connection broke', { error: String(error) }))
    this.#mux = new Mux({
      http1: this.#http1,
      http2: this.#http2,
      peekMs: limits.headersMs,
      connections: limits.connections,
      onRefused: () => log.warn('too many connections', { limit: limits.connections }),
    })
  }

  get connections(): number {
    return this.#mux.connections
  }

  listen({ host, port }: ListenOptions): Promise<AddressInfo> {
    const { server } = this.#mux
    return new Promise((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const shown = `${host.includes(':') ? `[${host}]` : host}:${port}`
        if (error.code === 'EADDRINUSE') reject(new CoveError('address-in-use', `${shown} is in use already`))
        else reject(new CoveError('io-error', `cannot listen on ${shown}: ${error.message}`, {}, { cause: error }))
      })
      server.listen({ host, port, backlog: 1_024 }, () => {
        const address = server.address()
        if (address === null || typeof address === 'string') reject(new CoveError('internal', 'no address'))
        else resolve(address)
      })
    })
  }

  /** Takes nothing new, lets what is under way end for up to `graceMs` milliseconds, then cuts it. */
  async close(graceMs: number): Promise<void> {
    const { server } = this.#mux
    this.#closing = true
    const closed = new Promise<void>((resolve) => (server.listening ? server.close(() => resolve()) : resolve()))
    // Also stops the timer that looks for slow headers; its connections are the mux's.
    this.#http1.close()
    this.#http1.closeIdleConnections()
    this.#mux.destroyUndecided()
    for (const session of this.#sessions) session.close()
    const timer = setTimeout(() => this.#mux.destroyAll(), graceMs)
    await closed
    clearTimeout(timer)
    this.#http2.close()
  }

  /** A connection that has got its answer would wait for the next request; not while the server closes. */
  readonly #afterAnswer = (): void => {
    if (this.#closing) setImmediate(() => this.#http1.closeIdleConnections())
  }

  #keep(session: ServerHttp2Session, idleMs: number): void {
    this.#sessions.add(session)
    session.once('close', () => this.#sessions.delete(session))
    let open = 0
    session.on('stream', (stream) => {
      open++
      stream.once('close', () => open--)
    })
    session.setTimeout(idleMs, () => {
      if (open === 0) session.close()
    })
  }
}
