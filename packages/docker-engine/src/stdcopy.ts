import { CoveError } from '@cove/domain'

/** A piece of output of a container or exec without a terminal. */
export interface EngineStream {
  readonly stream: 'stdout' | 'stderr'
  readonly data: Buffer
}

const HEADER_BYTES = 8
const STDERR = 2
const STREAMS = 3

/**
 * Takes the engine's frames apart (https://docs.docker.com/reference/api/engine/, "Stream format"): one byte of
 * stream, three of zero, four of length, then so many bytes. Pieces are passed on as they come; nothing is collected.
 */
export async function* demultiplex(source: AsyncIterable<Uint8Array>): AsyncGenerator<EngineStream> {
  let header: Buffer = Buffer.alloc(0)
  let stream: EngineStream['stream'] = 'stdout'
  let left = 0
  for await (const bytes of source) {
    let chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    while (chunk.length > 0) {
      if (left > 0) {
        const piece = chunk.subarray(0, left)
        left -= piece.length
        chunk = chunk.subarray(piece.length)
        yield { stream, data: piece }
        continue
      }
      const missing = HEADER_BYTES - header.length
      header = Buffer.concat([header, chunk.subarray(0, missing)])
      chunk = chunk.subarray(missing)
      if (header.length < HEADER_BYTES) continue
      const kind = header.readUInt8(0)
      if (kind >= STREAMS || header.readUIntBE(1, 3) !== 0) throw broken('a frame has an unknown stream')
      stream = kind === STDERR ? 'stderr' : 'stdout'
      left = header.readUInt32BE(4)
      header = Buffer.alloc(0)
    }
  }
  if (left > 0 || header.length > 0) throw broken('the stream ended in the middle of a frame')
}

function broken(message: string): CoveError {
  return new CoveError('driver-failed', `the Docker Engine's output cannot be read: ${message}`)
}
