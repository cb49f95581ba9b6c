import { CoveError } from '@cove/domain'
import { connectionFailure } from './failures.ts'
import { prefixOf, type HttpBody, type HttpResponse, type HttpSend } from './http.ts'

/** The part of `fetch` that the client needs. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** What a browser can send: a stream is gathered first, in parts that it may keep outside of its memory. */
const GATHERED_BYTES = 4 * 1024 * 1024

export interface FetchOptions {
  /** False where `fetch` cannot send a stream, as in browsers. Default true. */
  readonly streams?: boolean
  /** What to do when the server cannot be reached, or may not be. */
  readonly fix?: string
}

/** For browsers, other runtimes, and callers who bring their own `fetch`. */
export function fetchHttp(base: URL, fetcher: Fetch, { streams = true, fix }: FetchOptions = {}): HttpSend {
  const prefix = prefixOf(base)
  return async (request) => {
    const body = streams ? request.body : await gathered(request.body)
    const init: RequestInit = { method: request.method, headers: { ...request.headers }, ...bodyOf(body) }
    if (request.signal !== undefined) init.signal = request.signal
    try {
      return new FetchResponse(await fetcher(prefix + request.path, init), base.origin, request.signal)
    } catch (error) {
      const failure = connectionFailure(error, base.origin, request.signal)
      if (fix === undefined || failure.code !== 'connection-lost') throw failure
      throw new CoveError(failure.code, failure.message, failure.context, { cause: error, fix })
    }
  }
}

async function gathered(body: HttpBody | undefined): Promise<HttpBody | undefined> {
  if (body === undefined || body instanceof Uint8Array || body instanceof Blob) return body
  let blob = new Blob([])
  let parts: Uint8Array<ArrayBuffer>[] = []
  let bytes = 0
  for await (const part of body) {
    parts.push(new Uint8Array(part))
    bytes += part.byteLength
    if (bytes < GATHERED_BYTES) continue
    blob = new Blob([blob, ...parts])
    parts = []
    bytes = 0
  }
  return new Blob([blob, ...parts])
}

/** `duplex` is what runtimes ask for before they send a stream; the DOM's types do not have it yet. */
function bodyOf(body: HttpBody | undefined): RequestInit & { duplex?: 'half' } {
  if (body === undefined) return {}
  if (body instanceof Blob) return { body }
  if (body instanceof Uint8Array) return { body: body as Uint8Array<ArrayBuffer> }
  const iterator = body[Symbol.asyncIterator]()
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await iterator.next()
      if (next.done === true) controller.close()
      else controller.enqueue(next.value)
    },
    async cancel() {
      await iterator.return?.()
    },
  })
  return { body: stream, duplex: 'half' }
}

class FetchResponse implements HttpResponse {
  readonly status: number
  readonly #response: Response
  readonly #url: string
  readonly #signal: AbortSignal | undefined

  constructor(response: Response, url: string, signal: AbortSignal | undefined) {
    this.status = response.status
    this.#response = response
    this.#url = url
    this.#signal = signal
  }

  header(name: string): string | undefined {
    return this.#response.headers.get(name) ?? undefined
  }

  get body(): AsyncIterable<Uint8Array> {
    return this.#read()
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    if (this.#response.body === null) return
    // A reader instead of `for await`: not every browser can iterate a stream.
    const reader = this.#response.body.getReader()
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        yield value
      }
    } catch (error) {
      throw connectionFailure(error, this.#url, this.#signal)
    } finally {
      await reader.cancel().catch(() => {})
    }
  }

  async bytes(limit: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of this.#read()) {
      length += chunk.byteLength
      if (length > limit) throw new CoveError('payload-too-large', `an answer over ${limit} bytes`)
      chunks.push(chunk)
    }
    const all = new Uint8Array(length)
    let at = 0
    for (const chunk of chunks) {
      all.set(chunk, at)
      at += chunk.byteLength
    }
    return all
  }
}
