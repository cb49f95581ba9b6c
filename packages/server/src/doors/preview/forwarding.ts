import { ServerResponse } from 'node:http'
import { CoveError } from '@cove/domain'
import { cut, isBroken, isGone, type Exchange } from '../exchange.ts'
import { StatusError, endUnread } from '../json-error.ts'
import type { Opened } from './access.ts'
import type { GuestConnection, Waiting } from './guest-connection.ts'
import { answerHeaders } from './headers.ts'
import type { ConnectionPool } from './pool.ts'
import type { BodyFraming } from './request-head.ts'
import type { ResponseHead } from './response-parser.ts'

export interface Errand {
  readonly exchange: Exchange
  readonly opened: Opened
  /** Request line and headers, without framing and the empty line. */
  readonly head: string
  readonly framing: BodyFraming
  readonly pool: ConnectionPool
  /** Ends what would never end by itself. */
  readonly closing: AbortSignal
  /** Bytes have moved. */
  readonly onTraffic: () => void
}

/** Bytes that may wait for the client before the guest does: it would stand still behind every piece else. */
const AHEAD = 128 * 1024
const CRLF = Buffer.from('\r\n')
const REPEATABLE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/**
 * One request on its way into a sandbox and its answer on the way out, both streamed at the speed of the slower side.
 * Settles when the answer is whole; rejects when none has begun.
 */
export class Forwarding implements Waiting {
  readonly #errand: Errand
  readonly #settled = Promise.withResolvers<void>()
  #connection: GuestConnection | undefined
  #answering = false
  #over = false
  #reusable = false
  #endless = false
  #sent = false
  #pending: Buffer | undefined
  #flushing = false
  /** The guest waits for the client. */
  #held = false

  constructor(errand: Errand) {
    this.#errand = errand
    this.#sent = errand.framing === 'none'
  }

  async run(): Promise<void> {
    const { exchange, opened, pool, closing } = this.#errand
    exchange.response.once('close', this.#clientLeft)
    opened.ended?.addEventListener('abort', this.#cut, { once: true })
    try {
      opened.ended?.throwIfAborted()
      this.#begin(pool.take(opened.address) ?? (await pool.open(opened.sandbox, opened.address.port)))
      await this.#settled.promise
    } finally {
      this.#over = true
      opened.ended?.removeEventListener('abort', this.#cut)
      if (this.#endless) closing.removeEventListener('abort', this.#cut)
    }
  }

  #begin(connection: GuestConnection): void {
    const { exchange, opened, head, framing, pool, onTraffic } = this.#errand
    if (isGone(exchange.response)) {
      pool.give(opened.address, connection)
      this.#settled.resolve()
      return
    }
    onTraffic()
    this.#connection = connection
    const method = exchange.request.method ?? 'GET'
    if (framing === 'none') {
      connection.ask(method, `${head}\r\n`, this)
      return
    }
    const told = framing === 'chunked' ? 'transfer-encoding: chunked' : `content-length: ${framing.length}`
    connection.ask(method, `${head}${told}\r\n\r\n`, this)
    if (exchange.request.headers.expect !== undefined) exchange.response.writeContinue()
    this.#sendBody(connection, framing === 'chunked')
  }

  #sendBody({ stream }: GuestConnection, isChunked: boolean): void {
    const { request } = this.#errand.exchange
    const resume = (): void => void request.resume()
    request.on('data', (chunk: Buffer) => {
      this.#errand.onTraffic()
      if (stream.destroyed) return
      const framed = isChunked
        ? Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`, 'latin1'), chunk, CRLF])
        : chunk
      if (stream.write(framed)) return
      request.pause()
      stream.once('drain', resume)
    })
    // A server that goes away in the middle takes nothing more, and its answer may still be on its way out.
    stream.once('close', resume)
    request.once('end', () => {
      stream.off('close', resume)
      if (isBroken(request)) return void stream.destroy()
      this.#sent = true
      if (isChunked && !stream.destroyed) stream.write('0\r\n\r\n')
    })
  }

  head(head: ResponseHead): void {
    const { exchange } = this.#errand
    const { response } = exchange
    if (head.status === 101) throw new Error('nobody has asked for another protocol')
    this.#reusable = head.keepAlive
    if (isEventStream(head)) {
      this.#endless = true
      this.#errand.closing.addEventListener('abort', this.#cut, { once: true })
    }
    // An error in the middle of an upload: the rest of it is not waited for.
    if (!this.#sent && head.status >= 400) endUnread(exchange)
    const headers = answerHeaders(head.headers)
    // An answer without a body may tell how long that would be, but for one that never has one.
    if (head.length !== undefined && head.status !== 204) headers.push('content-length', String(head.length))
    // By header all sandboxes share their addresses with the API: no cache may take one for another.
    if (!this.#errand.opened.byHost) headers.push('vary', 'Cove-Sandbox, Cove-Port')
    if (response instanceof ServerResponse) {
      const last = response.getHeader('connection') === 'close' ? ['connection', 'close'] : []
      response.removeHeader('connection')
      response.writeHead(head.status, head.reason, [...headers, ...last])
    } else {
      response.statusCode = head.status
      for (const [name, value] of joined(headers)) response.setHeader(name, value)
      response.writeHead(head.status)
    }
    this.#answering = true
    this.#flushSoon()
  }

  body(bytes: Buffer): void {
    this.#errand.onTraffic()
    if (this.#pending !== undefined) this.#write(this.#pending)
    this.#pending = bytes
    this.#flushSoon()
  }

  end(trailers: readonly string[]): void {
    const { exchange, opened, pool } = this.#errand
    const { response } = exchange
    const connection = this.#connection
    const last = this.#pending
    this.#pending = undefined
    this.#over = true
    if (trailers.length > 0) response.addTrailers(trailerRecord(trailers))
    if (last === undefined) response.end()
    else response.end(last)
    if (connection !== undefined) {
      if (connection.stream.isPaused()) connection.stream.resume()
      if (this.#reusable && this.#sent) pool.give(opened.address, connection)
      else connection.destroy()
    }
    this.#settled.resolve()
  }

  failed(error: Error, untouched: boolean): void {
    const { exchange, framing, opened } = this.#errand
    if (this.#over) return
    if (this.#answering) {
      cut(exchange.response)
      this.#settled.resolve()
      return
    }
    // A server may close a connection that waits just when a request is on its way; that one asks again.
    const method = exchange.request.method ?? ''
    if (untouched && framing === 'none' && REPEATABLE.has(method)) {
      void this.#repeat()
      return
    }
    this.#settled.reject(noAnswer(opened.address.port, error))
  }

  async #repeat(): Promise<void> {
    const { opened, pool } = this.#errand
    this.#connection = undefined
    try {
      this.#begin(await pool.open(opened.sandbox, opened.address.port))
    } catch (error) {
      this.#settled.reject(CoveError.from(error))
    }
  }

  /** What came in one piece leaves in one piece; what waits for more leaves at once. */
  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    queueMicrotask(() => {
      this.#flushing = false
      if (this.#over) return
      const { response } = this.#errand.exchange
      const pending = this.#pending
      this.#pending = undefined
      if (pending !== undefined) this.#write(pending)
      else if (response instanceof ServerResponse) response.flushHeaders()
    })
  }

  #write(bytes: Buffer): void {
    const { response } = this.#errand.exchange
    if (response.write(bytes) || this.#held || (response.writableLength ?? AHEAD) < AHEAD) return
    this.#held = true
    this.#connection?.stream.pause()
    response.once('drain', this.#goOn)
  }

  readonly #goOn = (): void => {
    this.#held = false
    this.#connection?.stream.resume()
  }

  readonly #clientLeft = (): void => {
    if (this.#over) return
    this.#over = true
    this.#connection?.destroy()
    this.#settled.resolve()
  }

  readonly #cut = (): void => {
    if (!this.#over) cut(this.#errand.exchange.response)
  }
}

export function noAnswer(port: number, cause: Error): StatusError {
  const message = `the server on port ${port} gave no answer of HTTP: ${cause.message}`
  const fix = 'Look at what the server prints; for other protocols use `cove forward`.'
  return new StatusError(502, new CoveError('connection-lost', message, { port }, { cause, fix }))
}

function isEventStream({ headers }: ResponseHead): boolean {
  const at = headers.findIndex((text, index) => index % 2 === 0 && text.toLowerCase() === 'content-type')
  return at >= 0 && /^text\/event-stream\b/i.test(headers[at + 1] ?? '')
}

/** One value for each name; cookies are the one header that cannot be joined. */
function joined(headers: readonly string[]): Map<string, string | string[]> {
  const all = new Map<string, string | string[]>()
  const cookies: string[] = []
  for (let at = 0; at < headers.length; at += 2) {
    const name = (headers[at] ?? '').toLowerCase()
    const value = headers[at + 1] ?? ''
    const before = all.get(name)
    if (name === 'set-cookie') cookies.push(value)
    else all.set(name, before === undefined ? value : `${String(before)}, ${value}`)
  }
  if (cookies.length > 0) all.set('set-cookie', cookies)
  return all
}

function trailerRecord(trailers: readonly string[]): Record<string, string> {
  const all = joined(answerHeaders(trailers))
  all.delete('set-cookie')
  return Object.fromEntries([...all].map(([name, value]) => [name, String(value)]))
}
