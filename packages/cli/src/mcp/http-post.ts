import { Agent, request as plainRequest, type IncomingMessage } from 'node:http'
import { CoveError } from '@cove/domain'

/** Where the daemon's door is, and what opens it. */
export interface Endpoint {
  /** Without path. */
  readonly url: string
  readonly apiKey: string | undefined
  readonly project?: string
}

/** The server was not reached, or the request may be sent again. */
export class Unreachable extends Error {}

export const BROKEN = 'the connection to Cove broke off; whether the call was done is not known'

/** One POST; answers as soon as the head of the answer is there. Never times out: calls of tools may take long. */
export class HttpPost implements Disposable {
  readonly #agent = new Agent({ keepAlive: true })

  /** `once`: what must not be done twice is not sent again where it may have come to the server. */
  async send(
    endpoint: Endpoint,
    method: 'POST' | 'DELETE',
    headers: Readonly<Record<string, string>>,
    body: string,
    signal: AbortSignal,
    once = false,
  ): Promise<IncomingMessage> {
    const url = new URL('/mcp', endpoint.url)
    const isSecure = url.protocol === 'https:'
    const request = isSecure ? (await import('node:https')).request : plainRequest
    return new Promise((resolve, reject) => {
      const sent = request(
        url,
        {
          method,
          signal,
          // Over TLS there is an agent of its own.
          ...(isSecure ? {} : { agent: this.#agent }),
          headers: {
            ...headers,
            accept: 'application/json, text/event-stream',
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(body),
            ...(endpoint.apiKey === undefined ? {} : { authorization: `Bearer ${endpoint.apiKey}` }),
            ...(endpoint.project === undefined ? {} : { 'cove-project': endpoint.project }),
          },
        },
        resolve,
      )
      sent.on('error', (error: NodeJS.ErrnoException) => {
        const untouched = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'].includes(
          error.code ?? '',
        )
        // A connection that was kept open may have been closed by a server that has gone meanwhile.
        if (untouched || (!once && sent.reusedSocket && error.code === 'ECONNRESET'))
          reject(new Unreachable(error.message))
        else reject(new CoveError('connection-lost', BROKEN, {}, { cause: error }))
      })
      sent.end(body)
    })
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}
