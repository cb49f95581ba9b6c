import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt'
import { CoveError } from '@cove/domain'
import type { CallOptions } from '../call-options.ts'
import { envelope, envelopes, FLAG_COMPRESSED, FLAG_END } from './envelope.ts'
import { errorFromJson, errorFromResponse, parseJson } from './errors.ts'
import { aborted } from './failures.ts'
import { prefixOf, type HttpRequest, type HttpResponse, type HttpSend } from './http.ts'
import { DEFAULT_RECONNECT } from './reconnect.ts'
import { mayRetry, retryDelay, type RetryParts, type RetryPolicy } from './retry.ts'

/** Answers hold at most two streams of 4 MiB of output, and some room. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024

/** Of an answer that is none of Cove's. */
const MAX_STRANGE_BYTES = 64 * 1024

export interface UnaryOptions extends CallOptions {
  /** True when calling twice does what calling once does. Default: what the method's own description says. */
  readonly idempotent?: boolean
}

export interface RpcOptions {
  readonly base: URL
  readonly send: HttpSend
  readonly apiKey?: string
  /** Worked in in place of the key's own. */
  readonly project?: string
  readonly policy: RetryPolicy
  /** For streams that broke. */
  readonly reconnect?: RetryPolicy
  readonly parts: RetryParts
}

/**
 * Calls over the Connect protocol with binary messages: one POST per call, and a stream of enveloped messages where
 * the server streams. Also carries the plain HTTP routes, so that keys, retries and errors are the same for both.
 */
export class Rpc {
  readonly #send: HttpSend
  readonly policy: RetryPolicy
  readonly reconnect: RetryPolicy
  readonly base: URL
  /** Sent with every request: the key. */
  readonly headers: Readonly<Record<string, string>>
  readonly parts: RetryParts

  constructor({ base, send, apiKey, project, policy, reconnect = DEFAULT_RECONNECT, parts }: RpcOptions) {
    this.base = base
    this.#send = send
    this.headers = {
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      ...(project === undefined ? {} : { 'cove-project': project }),
    }
    this.policy = policy
    this.reconnect = reconnect
    this.parts = parts
  }

  /** The whole address of a path of the server's. */
  address(path: string): string {
    return prefixOf(this.base) + path
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    input: MessageInitShape<I>,
    options: UnaryOptions = {},
  ): Promise<MessageShape<O>> {
    const body = encode(method.input, input)
    const idempotent = options.idempotent ?? method.idempotency !== Idempotency.IDEMPOTENCY_UNKNOWN
    const headers: Record<string, string> = { 'content-type': 'application/proto', 'connect-protocol-version': '1' }
    if (options.timeoutMs !== undefined) headers['connect-timeout-ms'] = String(Math.ceil(options.timeoutMs))
    return this.retrying(idempotent, options, async (signal) => {
      const call = request('POST', pathOf(method), headers, body, signal)
      const response = await this.exchange(call, 'application/proto')
      return fromBinary(method.output, await response.bytes(MAX_ANSWER_BYTES))
    })
  }

  /** Never retried by itself: only its user knows where to go on. */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    input: MessageInitShape<I>,
    signal?: AbortSignal,
  ): AsyncGenerator<MessageShape<O>> {
    const body = envelope(encode(method.input, input))
    const headers = { 'content-type': 'application/connect+proto', 'connect-protocol-version': '1' }
    const call = request('POST', pathOf(method), headers, body, signal)
    const response = await this.exchange(call, 'application/connect+proto')
    for await (const { flags, data } of envelopes(response.body)) {
      if ((flags & FLAG_COMPRESSED) !== 0) throw new CoveError('internal', 'the server compressed without being asked')
      if ((flags & FLAG_END) !== 0) {
        const end = parseJson(new TextDecoder().decode(data))
        if (typeof end === 'object' && end !== null && 'error' in end) {
          throw errorFromJson(end.error, 'internal', 'the stream ended with an error')
        }
        return
      }
      yield fromBinary(method.output, data)
    }
    throw new CoveError('connection-lost', 'the stream ended before its end was told')
  }

  /**
   * One exchange with the key on it; an answer that is not a success is thrown as its error, and one of another type
   * than this is none of Cove's.
   */
  async exchange(call: HttpRequest, type?: string): Promise<HttpResponse> {
    const response = await this.#send({ ...call, headers: { ...this.headers, ...call.headers } })
    if (response.status < 200 || response.status >= 300) throw await errorFromResponse(response)
    const given = response.header('content-type')
    if (type === undefined || given === undefined || given.split(';')[0]?.trim() === type) return response
    // Read for nobody, so that the connection is free again or ends.
    await response.bytes(MAX_STRANGE_BYTES).catch(() => {})
    const url = this.base.origin
    throw new CoveError(
      'unsupported',
      `what answers at ${url} is not Cove: it sent ${given.slice(0, 80)}`,
      { url },
      { fix: 'Check the address: it has to be that of a Cove server.' },
    )
  }

  /** Calls `work` again, a bounded number of times, while its error says that it may. */
  async retrying<T>(
    idempotent: boolean,
    options: CallOptions,
    work: (signal: AbortSignal | undefined) => Promise<T>,
  ): Promise<T> {
    const signal = callSignal(options)
    for (let attempt = 0; ; attempt++) {
      try {
        return await work(signal)
      } catch (thrown) {
        const error = CoveError.from(thrown)
        if (signal?.aborted === true) throw aborted(signal)
        if (attempt >= this.policy.attempts || !mayRetry(error, idempotent)) throw error
        await this.pause(attempt, error, signal)
      }
    }
  }

  /** Waits before the next try; rejects as soon as the signal aborts. */
  async pause(attempt: number, error: CoveError | undefined, signal: AbortSignal | undefined): Promise<void> {
    const delay = retryDelay(this.policy, attempt, this.parts.chance(), error)
    try {
      await this.parts.clock.sleep(delay, signal)
    } catch (thrown) {
      throw signal === undefined ? CoveError.from(thrown) : aborted(signal)
    }
  }
}

/** The caller's signal and the call's own time limit in one. */
export function callSignal(options: CallOptions): AbortSignal | undefined {
  const { signal, timeoutMs } = options
  if (timeoutMs === undefined) return signal
  const limit = AbortSignal.timeout(Math.ceil(timeoutMs))
  return signal === undefined ? limit : AbortSignal.any([signal, limit])
}

/** A value that does not fit its field, such as a negative count, is the caller's mistake. */
function encode<I extends DescMessage>(schema: I, input: MessageInitShape<I>): Uint8Array {
  try {
    return toBinary(schema, create(schema, input))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new CoveError('invalid-argument', `the request cannot be sent: ${why}`, {}, { cause })
  }
}

function pathOf(method: { readonly name: string; readonly parent: { readonly typeName: string } }): string {
  return `/${method.parent.typeName}/${method.name}`
}

function request(
  method: HttpRequest['method'],
  path: string,
  headers: Record<string, string>,
  body: Uint8Array,
  signal: AbortSignal | undefined,
): HttpRequest {
  return signal === undefined ? { method, path, headers, body } : { method, path, headers, body, signal }
}
