import type { Server as HttpServer } from 'node:http'
import type { Http2Server } from 'node:http2'
import { createServer, type Server, type Socket } from 'node:net'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** A client of HTTP/1.1 that has said everything may still wait for its answer. */
const SOCKETS = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }

export interface MuxOptions {
  readonly http1: HttpServer
  readonly http2: Http2Server
  /** Milliseconds that a new connection may take to show what it speaks. */
  readonly peekMs: number
  /** Connections at once; more are closed as they come. */
  readonly connections: number
  readonly onRefused: () => void
}

/**
 * One TCP port for HTTP/1.1 and HTTP/2 without TLS. The first bytes tell which: every byte that still fits the
 * preface of HTTP/2 is waited on, also when they come one by one, and the bytes looked at are put back.
 */
export class Mux {
  readonly server: Server
  readonly #sockets = new Set<Socket>()
  readonly #undecided = new Set<Socket>()

  constructor(options: MuxOptions) {
    this.server = createServer(SOCKETS, (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      this.#undecided.add(socket)
      peek(socket, options, () => this.#undecided.delete(socket))
    })
    this.server.maxConnections = options.connections
    this.server.on('drop', options.onRefused)
  }

  get connections(): number {
    return this.#sockets.size
  }

  /** Closes those that have not shown yet what they speak. */
  destroyUndecided(): void {
    for (const socket of this.#undecided) socket.destroy()
  }

  destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** A connection that breaks before it said anything is nobody's concern. */
const ignore = (): void => undefined

function peek(socket: Socket, { http1, http2, peekMs }: MuxOptions, decided: () => void): void {
  const timer = setTimeout(() => socket.destroy(), peekMs)
  socket.on('error', ignore)
  const leave = (): void => void socket.destroy()
  const stop = (): void => {
    clearTimeout(timer)
    decided()
    socket.off('readable', look)
    socket.off('close', stop)
    socket.off('end', leave)
    socket.off('error', ignore)
  }
  let seen: Buffer = Buffer.alloc(0)
  const look = (): void => {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) return
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
    const compared = Math.min(seen.length, PREFACE.length)
    const fits = seen.subarray(0, compared).equals(PREFACE.subarray(0, compared))
    if (fits && seen.length < PREFACE.length) return
    stop()
    socket.unshift(seen)
    // With HTTP/2 the end of the connection is the end of everything on it.
    socket.allowHalfOpen = !fits
    ;(fits ? http2 : http1).emit('connection', socket)
  }
  socket.on('readable', look)
  socket.once('end', leave)
  socket.once('close', stop)
}
