import { CoveError } from '@cove/domain'

/** Five bytes of head: flags, then the length of the message, big-endian. */
const HEAD_BYTES = 5
/** No message of this API comes near; a longer one is a broken or hostile server. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

export const FLAG_COMPRESSED = 1
export const FLAG_END = 2

export interface Envelope {
  readonly flags: number
  readonly data: Uint8Array
}

export function envelope(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + data.byteLength)
  new DataView(bytes.buffer).setUint32(1, data.byteLength)
  bytes.set(data, HEAD_BYTES)
  return bytes
}

/** Cuts a stream of bytes into messages. One that lies whole in a chunk is not copied. */
export async function* envelopes(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Envelope> {
  const head = new Uint8Array(HEAD_BYTES)
  let headFill = 0
  let data: Uint8Array | undefined
  let fill = 0
  for await (const chunk of chunks) {
    let at = 0
    while (at < chunk.byteLength) {
      if (data === undefined) {
        const take = Math.min(HEAD_BYTES - headFill, chunk.byteLength - at)
        head.set(chunk.subarray(at, at + take), headFill)
        headFill += take
        at += take
        if (headFill < HEAD_BYTES) break
        const length = new DataView(head.buffer).getUint32(1)
        if (length > MAX_MESSAGE_BYTES) {
          throw new CoveError('internal', `the server sent a message of ${length} bytes, over ${MAX_MESSAGE_BYTES}`)
        }
        if (chunk.byteLength - at >= length) {
          headFill = 0
          yield { flags: head[0] ?? 0, data: chunk.subarray(at, at + length) }
          at += length
          continue
        }
        data = new Uint8Array(length)
        fill = 0
      }
      const take = Math.min(data.byteLength - fill, chunk.byteLength - at)
      data.set(chunk.subarray(at, at + take), fill)
      fill += take
      at += take
      if (fill === data.byteLength) {
        headFill = 0
        const whole = data
        data = undefined
        yield { flags: head[0] ?? 0, data: whole }
      }
    }
  }
  if (headFill > 0 || data !== undefined) throw new CoveError('connection-lost', 'the stream ended inside a message')
}
