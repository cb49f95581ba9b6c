import { create, fromBinary, fromJsonString, toBinary } from '@bufbuild/protobuf'
import { ProcessEventSchema, StartProcessRequestSchema, type StartProcessRequest } from '@cove/api'
import { CoveError, type OutputStream, type ProcessStream, type Random } from '@cove/domain'
import type { Principal } from '../../auth/principal.ts'
import { bad } from '../../sandboxes/request.ts'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
import { parseCommand, parseProcess } from '../connect/from-wire.ts'
import { toProcess, toProcessEvent } from '../connect/to-wire.ts'
import { clientSignal, cut, drained, type Exchange, type Response } from '../exchange.ts'
import { errorBody } from '../json-error.ts'
import { readBody, type BodyLimits } from '../read-body.ts'
import type { Query } from './query.ts'

export interface StreamOptions {
  readonly sandboxes: Sandboxes
  readonly caller: Principal
  readonly sandbox: string
  readonly random: Random
  readonly keepAliveMs: number
  readonly body: BodyLimits
  /** Called when the process has been started, before that is answered. */
  readonly onStarted?: () => void
  /** Aborts when the server closes, or the caller's key ends. */
  readonly closing: AbortSignal
}

const HEADER_BYTES = 12
const LARGEST_FRAME = 1024 * 1024
const KIND = { output: 1, event: 2, error: 3 } as const
const STREAMS: Readonly<Record<OutputStream, number>> = { stdout: 1, stderr: 2, terminal: 3 }

/** `POST /v1/sandboxes/{sandbox}/processes`: starts a process and streams from its first byte. */
export async function postProcess(exchange: Exchange, options: StreamOptions): Promise<void> {
  const { sandboxes, caller, sandbox, random, closing } = options
  const { command, incarnation } = await readStart(exchange, options.body)
  const request = parseCommand(command, random)
  using lease = await sandboxes.guest(caller, sandbox, incarnation)
  const signal = AbortSignal.any([clientSignal(exchange.response), closing])
  const started = await lease.guest.start(request, signal)
  options.onStarted?.()
  await streamEvents(exchange, started, options)
}

/** `GET /v1/sandboxes/{sandbox}/processes/{process}/output`: attaches to a process. */
export async function getOutput(
  exchange: Exchange,
  process: string,
  query: Query,
  options: StreamOptions,
): Promise<void> {
  const { sandboxes, caller, sandbox, closing } = options
  const id = parseProcess(process)
  using lease = await sandboxes.guest(caller, sandbox, query.count('incarnation') ?? 0)
  const signal = AbortSignal.any([clientSignal(exchange.response), closing])
  await streamEvents(exchange, await lease.guest.attach(id, query.count('offset') ?? 'now', signal), options)
}

async function readStart({ request }: Exchange, limits: BodyLimits): Promise<StartProcessRequest> {
  const body = await readBody(request, limits)
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  try {
    if (type === 'application/proto') return fromBinary(StartProcessRequestSchema, body)
    if (type === 'application/json') {
      return fromJsonString(StartProcessRequestSchema, body.toString())
    }
  } catch (error) {
    throw bad('body', `is not a StartProcessRequest: ${CoveError.from(error).message}`)
  }
  throw bad('content-type', 'must be application/proto or application/json')
}

async function streamEvents(exchange: Exchange, stream: ProcessStream, options: StreamOptions): Promise<void> {
  const { response, requestId } = exchange
  response.statusCode = 200
  response.setHeader('content-type', 'application/vnd.cove.events')
  writeEvent(response, { event: { case: 'started', value: toProcess(stream.info) } })
  let silent = true
  const timer = setInterval(() => {
    if (silent) writeEvent(response, { event: { case: 'keepAlive', value: {} } })
    silent = true
  }, options.keepAliveMs)
  try {
    for await (const event of stream.events) {
      silent = false
      if (event.type === 'output') {
        if (!writeOutput(response, STREAMS[event.stream], event.offset, event.data)) await drained(response)
      } else {
        writeEvent(response, toProcessEvent(event))
      }
    }
    response.end()
  } catch (error) {
    const told = CoveError.from(options.closing.aborted ? options.closing.reason : error)
    const body = Buffer.from(errorBody(told, requestId))
    response.write(Buffer.concat([frameHeader(KIND.error, 0, 0, body.length), body]))
    response.end()
    if (told.code === 'cancelled') cut(response)
  } finally {
    clearInterval(timer)
  }
}

/** Header and bytes are written apart, so that the bytes are not copied. False when the client is behind. */
function writeOutput(response: Response, stream: number, offset: number, data: Uint8Array): boolean {
  let flowing = true
  for (let at = 0; at < data.length; at += LARGEST_FRAME) {
    const piece = data.length <= LARGEST_FRAME ? data : data.subarray(at, at + LARGEST_FRAME)
    response.write(frameHeader(KIND.output, stream, offset + at, piece.length))
    flowing = response.write(piece)
  }
  return flowing
}

function writeEvent(response: Response, event: Parameters<typeof create<typeof ProcessEventSchema>>[1]): void {
  const body = toBinary(ProcessEventSchema, create(ProcessEventSchema, event))
  response.write(Buffer.concat([frameHeader(KIND.event, 0, 0, body.length), body]))
}

function frameHeader(kind: number, stream: number, offset: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  header.writeUInt8(kind, 0)
  header.writeUInt8(stream, 1)
  header.writeUIntBE(offset, 2, 6)
  header.writeUInt32BE(length, 8)
  return header
}
