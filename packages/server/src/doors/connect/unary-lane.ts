import {
  create,
  fromBinary,
  fromJsonString,
  toBinary,
  toJsonString,
  type DescMessage,
  type Message,
} from '@bufbuild/protobuf'
import { codeToHttpStatus, errorToJsonBytes } from '@connectrpc/connect/protocol-connect'
import { CoveError } from '@cove/domain'
import { unauthenticated } from '../../auth/credentials.ts'
import { authorityOf, clientSignal, isGone, type Exchange, type Request } from '../exchange.ts'
import { endUnread } from '../json-error.ts'
import { readBody, type BodyLimits } from '../read-body.ts'
import type { Call } from './call.ts'
import { toConnectError } from './connect-error.ts'

/** One unary method with its messages; `run` throws whatever is to be told as an error. */
export interface UnaryMethod {
  readonly input: DescMessage
  readonly output: DescMessage
  /** Refuses callers that may not. */
  readonly run: (request: unknown, call: Call) => Promise<unknown>
}

type Format = 'json' | 'binary'

/**
 * The short way for what nearly every call is: a unary POST of the Connect protocol without compression and
 * without a deadline. It answers what the library would answer, in a fraction of its time; everything else goes
 * through the library.
 */
export function unaryFormat(request: Request): Format | undefined {
  const { headers, method } = request
  if (method !== 'POST' || headers['connect-timeout-ms'] !== undefined) return undefined
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') return undefined
  switch (headers['content-type']) {
    case 'application/json':
    case 'application/json; charset=utf-8':
      return 'json'
    case 'application/proto':
      return 'binary'
    default:
      return undefined
  }
}

export async function handleUnary(
  exchange: Exchange,
  { input, output, run }: UnaryMethod,
  format: Format,
  limits: BodyLimits,
): Promise<void> {
  const { principal, refusal, requestId, from, request, response } = exchange
  try {
    if (principal === undefined) throw refusal ?? unauthenticated()
    const message = parse(input, await readBody(request, limits), format)
    const answer = await run(message, {
      caller: principal,
      requestId,
      from,
      host: authorityOf(request),
      signal: clientSignal(response, principal.ended),
    })
    const whole = create(output, answer as Message)
    if (format === 'json') send(exchange, 200, 'application/json', toJsonString(output, whole))
    else send(exchange, 200, 'application/proto', toBinary(output, whole))
  } catch (thrown) {
    const error = toConnectError(thrown, requestId)
    if (isGone(response)) return
    const status = codeToHttpStatus(error.code)
    error.metadata.forEach((value, name) => void response.setHeader(name, value))
    if (status === 401) response.setHeader('www-authenticate', 'Bearer')
    endUnread(exchange)
    send(exchange, status, 'application/json', errorToJsonBytes(error, undefined))
  }
}

function parse(input: DescMessage, body: Buffer, format: Format): Message {
  try {
    if (format === 'binary') return fromBinary(input, body)
    return body.length === 0 ? create(input) : fromJsonString(input, body.toString())
  } catch (error) {
    const message = `the request is not a ${input.typeName}: ${CoveError.from(error).message}`
    throw new CoveError('invalid-argument', message, { field: 'body' }, { cause: error })
  }
}

/** Above this a copy costs more than a second system call. */
const ONE_WRITE_BYTES = 64 * 1024

/** Node sends headers and body in one write only when the body is a string. */
function send({ response }: Exchange, status: number, type: string, body: string | Uint8Array): void {
  response.statusCode = status
  response.setHeader('content-type', type)
  response.setHeader('content-length', Buffer.byteLength(body))
  if (typeof body === 'string' || body.length > ONE_WRITE_BYTES) response.end(body)
  else response.end(Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1'), 'latin1')
}
