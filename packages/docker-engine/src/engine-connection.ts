import { once } from 'node:events'
import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import { CoveError } from '@cove/domain'
import type { EngineAddress } from './engine-address.ts'
import { engineError, unreachable } from './engine-error.ts'

export interface EngineRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'
  /** Without the version. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** Sent as JSON. */
  readonly json?: unknown
  /** Sent as it is; a tar archive. */
  readonly body?: AsyncIterable<Uint8Array> | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
}

/** Idle connections that are kept. */
const SOCKETS = 16
const IDLE_MS = 10_000
/** An answer that is one JSON text. */
const JSON_BYTES = 32 * 1024 * 1024
const ERROR_BYTES = 64 * 1024

/** HTTP to one engine. Every failure is a `CoveError`. */
export class EngineConnection {
  readonly #address: EngineAddress
  readonly #agent: Agent | TlsAgent
  /** `/v1.41` once it is agreed on, empty before. */
  prefix = ''

  constructor(address: EngineAddress) {
    this.#address = address
    const options = { keepAlive: true, maxFreeSockets: SOCKETS, timeout: IDLE_MS }
    this.#agent = address.kind === 'tcp' && address.tls !== undefined ? new TlsAgent(options) : new Agent(options)
  }

  /** The answer's JSON; undefined when it has no body. */
  async json(request: EngineRequest): Promise<unknown> {
    const answer = await this.stream(request)
    const text = await readText(answer, JSON_BYTES)
    if (text.trim() === '') return undefined
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw new CoveError(
        'driver-failed',
        `the Docker Engine did not answer with JSON to ${request.path}`,
        {},
        { cause },
      )
    }
  }

  /** The answer's body as it comes; the caller reads it to its end or destroys it. */
  async stream(request: EngineRequest): Promise<IncomingMessage> {
    const sent = this.#send(request, {})
    const [answer] = (await this.#settled(sent, 'response', request)) as [IncomingMessage]
    // Whatever breaks later reaches the reader of the body; without one it is nobody's concern.
    answer.on('error', () => undefined)
    const status = answer.statusCode ?? 0
    if (status >= 200 && status < 400) return answer
    throw engineError(status, await readText(answer, ERROR_BYTES).catch(() => ''), request)
  }

  /** Takes the connection over for raw bytes in both directions. */
  async hijack(request: EngineRequest): Promise<Duplex> {
    const headers = { connection: 'Upgrade', upgrade: 'tcp' }
    const sent = this.#send({ ...request, headers: { ...request.headers, ...headers } }, { agent: false })
    const upgraded = once(sent, 'upgrade') as Promise<[IncomingMessage, Duplex, Buffer]>
    upgraded.catch(() => undefined)
    const refused = this.#settled(sent, 'response', request) as Promise<[IncomingMessage]>
    const [answer, socket, head] = await Promise.race([
      upgraded,
      refused.then(async ([refusal]): Promise<never> => {
        throw engineError(refusal.statusCode ?? 0, await readText(refusal, ERROR_BYTES).catch(() => ''), request)
      }),
    ])
    refused.catch(() => undefined)
    if (answer.statusCode !== 101) {
      socket.destroy()
      throw engineError(answer.statusCode ?? 0, '', request)
    }
    if (head.length > 0) socket.unshift(head)
    return socket
  }

  close(): void {
    this.#agent.destroy()
  }

  #send(request: EngineRequest, more: RequestOptions): ClientRequest {
    const { method, path, query, json, body, headers, signal } = request
    signal?.throwIfAborted()
    const address = this.#address
    const text = json === undefined ? undefined : JSON.stringify(json)
    const options: RequestOptions = {
      agent: this.#agent,
      method,
      path: `${this.prefix}${path}${queryText(query)}`,
      headers: {
        host: hostHeader(address),
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        ...(body === undefined ? {} : { 'content-type': 'application/x-tar' }),
        ...(text === undefined && body === undefined && method === 'POST' ? { 'content-length': 0 } : {}),
        ...headers,
      },
      ...(signal === undefined ? {} : { signal }),
      ...(address.kind === 'unix' ? { socketPath: address.path } : { host: address.host, port: address.port }),
      ...more,
    }
    const tls = address.kind === 'tcp' ? address.tls : undefined
    const sent = tls === undefined ? httpRequest(options) : tlsRequest({ ...options, ...tls })
    if (body === undefined) sent.end(text)
    else if (body instanceof Uint8Array) sent.end(body)
    else pour(body, sent).catch((error: unknown) => sent.destroy(CoveError.from(error)))
    return sent
  }

  async #settled(sent: ClientRequest, event: 'response', { signal, path }: EngineRequest): Promise<unknown[]> {
    try {
      return await once(sent, event)
    } catch (error) {
      if (signal?.aborted === true) throw CoveError.from(signal.reason, 'cancelled')
      // What was to be sent could not be read.
      if (error instanceof CoveError) throw error
      throw unreachable(error, path)
    } finally {
      // An answer's own errors come by its body.
      sent.on('error', () => undefined)
    }
  }
}

/** The name that the engine's certificate has to have, where there is one. */
function hostHeader(address: EngineAddress): string {
  if (address.kind === 'unix') return 'docker'
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`
}

async function pour(body: AsyncIterable<Uint8Array>, sent: ClientRequest): Promise<void> {
  for await (const chunk of body) {
    if (sent.destroyed) return
    if (!sent.write(chunk)) await drained(sent)
  }
  sent.end()
}

async function drained(sent: ClientRequest): Promise<void> {
  const done = new AbortController()
  const { signal } = done
  try {
    await Promise.race([once(sent, 'drain', { signal }), once(sent, 'close', { signal })])
  } finally {
    done.abort()
  }
}

async function readText(answer: AsyncIterable<unknown>, most: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > most) throw new CoveError('driver-failed', `the Docker Engine's answer is larger than ${most} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function queryText(query: EngineRequest['query'] = {}): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value))
  const text = parameters.toString()
  return text === '' ? '' : `?${text}`
}
