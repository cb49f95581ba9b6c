import { connect } from 'node:net'
import type { DescService } from '@bufbuild/protobuf'
import { createClient, type CallOptions, type Client, type Transport } from '@connectrpc/connect'
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node'
import { containerdError } from './containerd-error.ts'

export interface Call {
  readonly signal?: AbortSignal | undefined
  /** Lease that holds whatever the call makes. */
  readonly lease?: string | undefined
  /** Milliseconds; default 30,000. 0: none. */
  readonly timeoutMs?: number
}

const TIMEOUT_MS = 30_000
/** Longer than containerd takes for anything; only the socket's existence is at stake. */
const IDLE_MS = 24 * 60 * 60 * 1000
/** Never looked up: the connection is a unix socket. */
const AUTHORITY = 'http://containerd'

/** One connection to containerd, made when it is needed and again when it was lost. */
export class Caller {
  readonly address: string
  readonly namespace: string
  readonly #transport: Transport
  readonly #session: Http2SessionManager

  constructor(address: string, namespace: string) {
    this.address = address
    this.namespace = namespace
    const createConnection = () => connect(address)
    this.#session = new Http2SessionManager(AUTHORITY, { idleConnectionTimeoutMs: IDLE_MS }, { createConnection })
    this.#transport = createGrpcTransport({
      baseUrl: AUTHORITY,
      sessionManager: this.#session,
      interceptors: [
        (next) => (request) => {
          request.header.set('containerd-namespace', namespace)
          return next(request)
        },
      ],
    })
  }

  client<T extends DescService>(service: T): Client<T> {
    return createClient(service, this.#transport)
  }

  /** One answer to one request. */
  async once<T>(call: Call | undefined, ask: (options: CallOptions) => Promise<T>): Promise<T> {
    try {
      return await ask(optionsOf(call, TIMEOUT_MS))
    } catch (error) {
      throw containerdError(error, this.address, call?.signal)
    }
  }

  /** A stream of answers; it has no deadline of its own unless the call names one. */
  async *each<T>(call: Call | undefined, ask: (options: CallOptions) => AsyncIterable<T>): AsyncIterable<T> {
    try {
      yield* ask(optionsOf(call, 0))
    } catch (error) {
      throw containerdError(error, this.address, call?.signal)
    }
  }

  close(): void {
    this.#session.abort()
  }
}

function optionsOf(call: Call | undefined, timeoutMs: number): CallOptions {
  const timeout = call?.timeoutMs ?? timeoutMs
  return {
    ...(timeout === 0 ? {} : { timeoutMs: timeout }),
    ...(call?.signal === undefined ? {} : { signal: call.signal }),
    ...(call?.lease === undefined ? {} : { headers: { 'containerd-lease': call.lease } }),
  }
}
