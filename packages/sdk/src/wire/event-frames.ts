import { fromBinary } from '@bufbuild/protobuf'
import { ProcessEventSchema, type ProcessEvent as WireEvent } from '@cove/api'
import { CoveError, type OutputStream } from '@cove/domain'
import { errorFromJson, parseJson } from './errors.ts'

export const EVENTS_TYPE = 'application/vnd.cove.events'

export type EventFrame =
  | { readonly kind: 'output'; readonly stream: OutputStream; readonly offset: number; readonly data: Uint8Array }
  | { readonly kind: 'event'; readonly event: WireEvent }

const HEAD_BYTES = 12
const MAX_PAYLOAD = 1024 * 1024
const OUTPUT = 1
const EVENT = 2
const ERROR = 3
const STREAMS: readonly OutputStream[] = ['stdout', 'stderr', 'terminal']

interface Head {
  readonly kind: number
  readonly stream: number
  readonly offset: number
  readonly length: number
}

/**
 * Cuts an event stream into its frames. Output is passed on as it comes, a frame of it in as many parts as it has
 * arrived in, and never copied. An error frame is thrown.
 */
export async function* eventFrames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<EventFrame> {
  const partialHead = new Uint8Array(HEAD_BYTES)
  let headFill = 0
  let head: Head | undefined
  let taken = 0
  let whole: Uint8Array | undefined
  for await (const chunk of chunks) {
    let at = 0
    while (at < chunk.byteLength || head?.length === taken) {
      if (head === undefined) {
        const take = Math.min(HEAD_BYTES - headFill, chunk.byteLength - at)
        partialHead.set(chunk.subarray(at, at + take), headFill)
        headFill += take
        at += take
        if (headFill < HEAD_BYTES) break
        headFill = 0
        taken = 0
        head = readHead(partialHead)
        if (head.kind !== OUTPUT) whole = new Uint8Array(head.length)
      }
      const part = chunk.subarray(at, at + head.length - taken)
      at += part.byteLength
      if (whole === undefined) {
        const stream = STREAMS[head.stream - 1]
        if (stream === undefined) throw broken(`output of stream ${head.stream}`)
        if (part.byteLength > 0) yield { kind: 'output', stream, offset: head.offset + taken, data: part }
        taken += part.byteLength
        if (taken === head.length) head = undefined
        continue
      }
      whole.set(part, taken)
      taken += part.byteLength
      if (taken < head.length) break
      const frame = readWhole(head.kind, whole)
      head = undefined
      whole = undefined
      if (frame !== undefined) yield frame
    }
  }
  if (headFill > 0 || head !== undefined) throw new CoveError('connection-lost', 'the stream ended inside a frame')
}

function readHead(bytes: Uint8Array): Head {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEAD_BYTES)
  const length = view.getUint32(8)
  if (length > MAX_PAYLOAD) throw broken(`a frame of ${length} bytes`)
  const offset = view.getUint16(2) * 2 ** 32 + view.getUint32(4)
  return { kind: view.getUint8(0), stream: view.getUint8(1), offset, length }
}

/** Undefined for a kind that this client is too old to know. */
function readWhole(kind: number, data: Uint8Array): EventFrame | undefined {
  if (kind === EVENT) return { kind: 'event', event: fromBinary(ProcessEventSchema, data) }
  if (kind === ERROR) {
    throw errorFromJson(parseJson(new TextDecoder().decode(data)), 'internal', 'the stream ended with an error')
  }
  return undefined
}

function broken(what: string): CoveError {
  return new CoveError('internal', `the server sent ${what}, which is not an event stream`)
}
