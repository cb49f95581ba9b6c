/** One HTTP exchange, as narrow as the client needs it; `node:http` and `fetch` stand behind it. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT'
  /** Path and query, beginning with `/`. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: HttpBody
  readonly signal?: AbortSignal
}

/** A stream is sent chunked, as fast as the other side takes it. */
export type HttpBody = Uint8Array | Blob | AsyncIterable<Uint8Array>

export interface HttpResponse {
  readonly status: number
  header(name: string): string | undefined
  /** The content, once. Leaving the loop early ends the exchange. */
  readonly body: AsyncIterable<Uint8Array>
  /** The whole content; `payload-too-large` beyond `limit` bytes. */
  bytes(limit: number): Promise<Uint8Array>
}

/**
 * Rejects with `daemon-not-running` when nothing was sent, with `connection-lost` when the connection ended before
 * the answer, and with `cancelled` or `deadline-exceeded` when the signal aborted. Reading the body fails likewise.
 */
export type HttpSend = (request: HttpRequest) => Promise<HttpResponse>

/** Origin and path that a server stands under, for paths that begin with `/`. */
export const prefixOf = (base: URL): string => base.origin + base.pathname.replace(/\/$/, '')
