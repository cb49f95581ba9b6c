import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { createZstdDecompress, zstdCompressSync, constants } from 'node:zlib'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { zstdFrames } from './zstd-frames.ts'

const SKIPPABLE = Buffer.from('5f2a4d1804000000deadbeef', 'hex')
const EMPTY_SKIPPABLE = Buffer.from('502a4d1800000000', 'hex')

async function decompress(stream: Buffer, sizes: readonly number[]): Promise<Buffer> {
  const chunks = function* () {
    for (let at = 0, turn = 0; at < stream.length; turn += 1) {
      const size = sizes[turn % sizes.length] ?? 1
      yield stream.subarray(at, at + size)
      at += size
    }
  }
  return await buffer(Readable.from(zstdFrames(Readable.from(chunks()))).pipe(createZstdDecompress()))
}

const content = fc.oneof(
  fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes)),
  fc.nat(300_000).map((length) => Buffer.alloc(length, 7)),
  fc.nat(300_000).map((length) => randomBytes(length)),
)
const frame = fc.record({
  content,
  checksum: fc.boolean(),
  told: fc.boolean(),
  after: fc.constantFrom(Buffer.alloc(0), SKIPPABLE, EMPTY_SKIPPABLE),
})

describe('a zstd stream', () => {
  it('is decompressed whole, however many frames it has and however it arrives', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(frame, { minLength: 1, maxLength: 5 }),
        fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 500, max: 100_000 })), { minLength: 1 }),
        async (frames, sizes) => {
          const stream = frames.flatMap(({ content: bytes, checksum, told, after }) => [
            zstdCompressSync(bytes, {
              params: {
                [constants.ZSTD_c_checksumFlag]: checksum ? 1 : 0,
                [constants.ZSTD_c_contentSizeFlag]: told ? 1 : 0,
              },
            }),
            after,
          ])
          // Single bytes are for short streams.
          const total = stream.reduce((sum, part) => sum + part.length, 0)
          const pieces = total > 5_000 ? [...sizes, 50_000] : sizes
          const wanted = Buffer.concat(frames.map(({ content: bytes }) => bytes))
          expect((await decompress(Buffer.concat(stream), pieces)).equals(wanted)).toBe(true)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('is whole where it begins with a frame without content', async () => {
    const stream = Buffer.concat([SKIPPABLE, zstdCompressSync('abc'), SKIPPABLE])
    expect((await decompress(stream, [100])).toString()).toBe('abc')
  })

  it('is refused when it ends anywhere within a frame', async () => {
    const stream = zstdCompressSync(randomBytes(300))
    for (let length = 1; length < stream.length; length += 1) {
      await expect(async () => {
        for await (const _ of zstdFrames(Readable.from([stream.subarray(0, length)])));
      }, String(length)).rejects.toMatchObject({ code: 'image-invalid' })
    }
  })

  it('is refused when something else follows a frame', async () => {
    const stream = Buffer.concat([zstdCompressSync('abc'), Buffer.from('garbage')])
    await expect(async () => {
      for await (const _ of zstdFrames(Readable.from([stream])));
    }).rejects.toMatchObject({ code: 'image-invalid', message: expect.stringContaining('no frame') })
  })
})
