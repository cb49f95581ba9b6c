import { constants, createGunzip, createZstdDecompress } from 'node:zlib'
import { pipeline, Readable, type Transform } from 'node:stream'
import { CoveError } from '@cove/domain'
import type { Compression } from '../registry/image-source.ts'
import { zstdFrames } from './zstd-frames.ts'

const CHUNK_BYTES = 262_144
/** Largest window of a zstd stream, 128 MiB: what every decoder takes without being asked. */
const ZSTD_WINDOW_LOG = 27

/**
 * Undoes the compression of an archive, of however many members or frames it is made. `image-invalid` for what is not
 * compressed as it should be; what `source` throws is thrown as it is.
 */
export async function* decompressed(
  source: AsyncIterable<Uint8Array>,
  compression: Compression,
): AsyncGenerator<Uint8Array, void, void> {
  const engine = decompressor(compression)
  if (engine === undefined) {
    yield* source
    return
  }
  const pieces = Readable.from(compression === 'zstd' ? zstdFrames(source) : source, { objectMode: false })
  let failure: unknown
  const output = pipeline(pieces, engine, (error) => (failure = error))
  try {
    for await (const chunk of output) yield chunk as Uint8Array
  } catch (error) {
    const cause = failure ?? error
    throw decompressionError(cause) ?? cause
  }
}

/** A stream that undoes the compression, in pieces of a good size; none for what is not compressed. */
export function decompressor(compression: Compression): Transform | undefined {
  switch (compression) {
    case 'none':
      return undefined
    case 'gzip':
      // Takes any number of members one after the other.
      return createGunzip({ chunkSize: CHUNK_BYTES })
    case 'zstd':
      return createZstdDecompress({
        chunkSize: CHUNK_BYTES,
        params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG },
      })
  }
}

/** What a broken stream means; undefined for errors that are none of the decompressor's. */
export function decompressionError(thrown: unknown): CoveError | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined
  const { code } = thrown
  if (typeof code !== 'string' || !/^(?:Z_|ZSTD_|ERR_ZLIB_)/.test(code)) return undefined
  return new CoveError('image-invalid', `the archive does not decompress: ${thrown.message}`, {}, { cause: thrown })
}
