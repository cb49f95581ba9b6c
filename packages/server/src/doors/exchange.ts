import type { EventEmitter } from 'node:events'
import { ServerResponse, type IncomingMessage } from 'node:http'
import { constants, type Http2ServerRequest, type ServerHttp2Stream } from 'node:http2'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { CoveError } from '@cove/domain'
import type { Principal } from '../auth/principal.ts'

export type Request = IncomingMessage | Http2ServerRequest

/** What the answers of HTTP/1.1 and HTTP/2 have in common. */
export interface Response extends EventEmitter {
  statusCode: number
  readonly headersSent: boolean
  readonly writableFinished?: boolean
  readonly writableEnded?: boolean
  readonly destroyed?: boolean
  /** Bytes that wait for the client. */
  readonly writableLength?: number
  /** Present with HTTP/2. */
  readonly stream?: ServerHttp2Stream
  setHeader(name: string, value: string | number | readonly string[]): unknown
  writeHead(status: number): unknown
  write(chunk: Uint8Array | string): boolean
  end(): unknown
  end(chunk: Uint8Array | string): unknown
  end(chunk: string, encoding: 'latin1'): unknown
  addTrailers(trailers: Record<string, string>): void
  writeContinue(): void
  destroy(): unknown
}

/** One request on its way through the doors. */
export interface Exchange {
  readonly request: Request
  readonly response: Response
  readonly requestId: string
  /** Path without query. */
  readonly path: string
  /** What follows the question mark. */
  readonly query: string
  /** Who calls; undefined when no valid key was sent. */
  readonly principal: Principal | undefined
  /** Why there is no principal although a key was sent: what a door that answers strangers itself tells this one. */
  readonly refusal?: CoveError
  /** Address of the other end. */
  readonly from: string
}

/** The host that was asked for, with its port: the Host header of HTTP/1.1, `:authority` of HTTP/2. */
export function authorityOf(request: Request): string | undefined {
  return 'authority' in request ? request.authority : request.headers.host
}

/** Ends an answer in the middle, so that the client can tell that it is not whole. */
export function cut(response: Response): void {
  if (response.stream !== undefined) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  // To HTTP/1.0 an ordinary end of the connection may be the end of the answer.
  else if (response instanceof ServerResponse && response.req.httpVersionMinor === 0) breakOff(response.socket)
  else response.destroy()
}

/**
 * Ends a connection in a way that its other end cannot take for the end of what was sent. One whose end has been sent
 * already is only closed: Node never says of a reset after the end that it is done.
 */
export function breakOff(stream: Duplex | null): void {
  if (stream instanceof Socket && !stream.writableEnded) stream.resetAndDestroy()
  else stream?.destroy()
}

/** True when nobody is there any more to take the answer. */
export function isGone(response: Response): boolean {
  return response.stream === undefined ? response.destroyed === true : response.stream.destroyed
}

/** Waits until the client has taken what was written; rejects when it is gone. */
export function drained(response: Response): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      response.off('drain', settle)
      response.off('close', settle)
      if (isGone(response)) reject(new CoveError('cancelled', 'the client went away'))
      else resolve()
    }
    response.once('drain', settle)
    response.once('close', settle)
    if (isGone(response)) settle()
  })
}

/** Aborts when the client goes away before its answer is whole, or when its key ends. */
export function clientSignal(response: Response, keyEnds?: AbortSignal): AbortSignal {
  const controller = new AbortController()
  const end = (): void => controller.abort(keyEnds?.reason)
  const leave = (): void => {
    keyEnds?.removeEventListener('abort', end)
    // With HTTP/2 even a broken answer counts as finished at its close; what was ended by us was not broken.
    const isWhole = response.stream === undefined ? response.writableFinished : response.writableEnded
    if (isWhole !== true) controller.abort(new CoveError('cancelled', 'the client went away'))
  }
  if (isGone(response)) {
    leave()
    return controller.signal
  }
  response.once('close', leave)
  if (keyEnds?.aborted === true) end()
  else keyEnds?.addEventListener('abort', end, { once: true })
  return controller.signal
}

/** The body, chunk by chunk. Leaving early leaves the connection as it is, so that an answer can still be sent. */
export async function* unread(request: Request): AsyncGenerator<Buffer> {
  yield* request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
  if (isBroken(request)) throw new CoveError('cancelled', 'the client went away before its whole body had come')
}

/** True when a body has ended because its client broke it off: with HTTP/2 that ends it like every other. */
export function isBroken(request: Request): boolean {
  return 'stream' in request && request.stream.aborted
}
