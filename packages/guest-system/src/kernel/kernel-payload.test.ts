import { gzipSync, zstdCompressSync } from 'node:zlib'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bzImage, elfKernel } from '../../test/support/images.ts'
import { outcome } from '../../test/support/outcome.ts'
import { kernelPayload, type Unpack } from './kernel-payload.ts'

const kernel = elfKernel('the one')
const unused: Unpack = () => {
  throw new Error('no program is needed for this')
}
/** As the kernel's build does it for all but gzip. */
const withLength = (compressed: Buffer): Buffer => Buffer.concat([compressed, Buffer.from([1, 2, 3, 4])])

/** One block of literals only. */
function lz4(plain: Buffer): Buffer {
  const block = Buffer.concat([Buffer.from([0xf0, ...lengthBytes(plain.length)]), plain])
  const head = Buffer.alloc(8)
  head.writeUInt32LE(0x184c2102)
  head.writeUInt32LE(block.length, 4)
  return Buffer.concat([head, block])
}

function lengthBytes(length: number): number[] {
  const more = length - 15
  return [...Array.from({ length: Math.floor(more / 255) }, () => 255), more % 255]
}

describe('the kernel inside a boot image', () => {
  it.each([
    ['gzip', gzipSync(kernel)],
    ['zstd', withLength(zstdCompressSync(kernel))],
    ['LZ4', withLength(lz4(kernel))],
    ['nothing', withLength(kernel)],
  ])('is found when it is compressed with %s', async (_name, payload) => {
    expect((await kernelPayload(bzImage(payload), unused)).equals(kernel)).toBe(true)
  })

  it.each([
    ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
    ['bzip2', [0x42, 0x5a, 0x68]],
    ['lzma', [0x5d, 0, 0]],
  ] as const)('is unpacked by a program when it is compressed with %s', async (name, magic) => {
    const asked: string[] = []
    const payload = Buffer.from([...magic, 1, 2, 3, 4, 5, 6])
    const unpack: Unpack = async (which, input) => {
      asked.push(which)
      expect(payload.equals(input)).toBe(true)
      return kernel
    }
    expect((await kernelPayload(bzImage(withLength(payload)), unpack)).equals(kernel)).toBe(true)
    expect(asked).toEqual([name])
  })

  it('is the whole file where there is none inside', async () => {
    expect((await kernelPayload(kernel, unused)).equals(kernel)).toBe(true)
  })

  it.each([
    ['of LZO', bzImage(Buffer.from([0x89, 0x4c, 0x5a, 0x4f, 0, 0, 0, 0, 0])), /LZO/],
    ['cut short', bzImage(gzipSync(kernel)).subarray(0, 1_700), /cut short/],
    ['with damaged gzip', bzImage(gzipSync(kernel).fill(0, 30)), /damaged/],
    ['with damaged zstd', bzImage(zstdCompressSync(kernel).fill(0xff, 5)), /damaged/],
  ])('is refused %s', async (_what, image, why) => {
    await expect(kernelPayload(image, unused)).rejects.toThrow(why)
    await expect(kernelPayload(image, unused)).rejects.toMatchObject({ code: 'kernel-invalid' })
  })

  it('of any bytes is refused or taken, and never anything else', async () => {
    const image = bzImage(withLength(lz4(kernel)))
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(image.length - 1), fc.nat(255)), { maxLength: 6 }),
        fc.nat(image.length),
        async (changes, length) => {
          const damaged = Buffer.from(image.subarray(0, length))
          for (const [at, byte] of changes) if (at < length) damaged[at] = byte
          const ended = await outcome(async () => await kernelPayload(damaged, async () => kernel))
          expect(['done', 'kernel-invalid']).toContain(ended)
        },
      ),
      { numRuns: 1_000 },
    )
  })
})
