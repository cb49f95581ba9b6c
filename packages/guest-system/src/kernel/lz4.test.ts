import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CoveError } from '@cove/domain'
import { outcome } from '../../test/support/outcome.ts'
import { LZ4_LEGACY_MAGIC, readBlock, readLz4Legacy } from './lz4.ts'

/** Bytes as they are, then so many from so far back. The last sequence of a block has no match. */
interface Sequence {
  readonly literals: Uint8Array
  readonly back: number
  readonly count: number
}

const rest = (length: number): number[] =>
  length < 15 ? [] : [...Array.from({ length: Math.floor((length - 15) / 255) }, () => 255), (length - 15) % 255]

/** Compresses as told, and answers what has to come out again. */
function encode(sequences: readonly Sequence[], end: Uint8Array): { block: Buffer; plain: Buffer } {
  const block: number[] = []
  const plain: number[] = []
  for (const { literals, back, count } of sequences) {
    plain.push(...literals)
    const distance = (back % plain.length) + 1
    block.push((Math.min(literals.length, 15) << 4) | Math.min(count - 4, 15), ...rest(literals.length), ...literals)
    block.push(distance & 255, distance >> 8, ...rest(count - 4))
    for (let index = 0; index < count; index++) plain.push(plain[plain.length - distance] ?? 0)
  }
  block.push(Math.min(end.length, 15) << 4, ...rest(end.length), ...end)
  plain.push(...end)
  return { block: Buffer.from(block), plain: Buffer.from(plain) }
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function frame(...blocks: readonly Buffer[]): Buffer {
  return Buffer.concat([number(LZ4_LEGACY_MAGIC), ...blocks.flatMap((block) => [number(block.length), block])])
}

const sequences = fc.array(
  fc.record({
    literals: fc.uint8Array({ minLength: 1, maxLength: 600 }),
    back: fc.nat(65_000),
    count: fc.integer({ min: 4, max: 700 }),
  }),
  { maxLength: 8 },
)
const MOST = 1 << 20

describe('LZ4', () => {
  it('comes out as it went in, matches that overlap themselves too', () => {
    fc.assert(
      fc.property(sequences, fc.uint8Array({ maxLength: 400 }), (list, end) => {
        const { block, plain } = encode(list, end)
        expect(readBlock(block, MOST).equals(plain)).toBe(true)
        expect(readLz4Legacy(frame(block), MOST).equals(plain)).toBe(true)
      }),
    )
  })

  it('never becomes longer than it may, and fails as a damaged kernel does, whatever comes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), fc.nat(2_000), async (bytes, most) => {
        for (const read of [readBlock, (input: Uint8Array) => readLz4Legacy(frame(Buffer.from(input)), most)]) {
          let length = 0
          const ended = await outcome(() => {
            ;({ length } = read(bytes, most))
          })
          expect(['done', 'kernel-invalid']).toContain(ended)
          expect(length).toBeLessThanOrEqual(most)
        }
      }),
    )
  })

  it('has several blocks, of which all but the last are full', () => {
    const full = Buffer.alloc(8 * 1024 * 1024, 'ab')
    const block = Buffer.concat([Buffer.from([0xf0, ...rest(full.length)]), full])
    const last = encode([{ literals: Buffer.from('ab'), back: 1, count: 1_000 }], Buffer.from('end'))
    const read = readLz4Legacy(frame(block, last.block), 32 * 1024 * 1024)
    expect(read.equals(Buffer.concat([full, last.plain]))).toBe(true)
  })

  it('is refused when it is cut short at any byte', () => {
    const { block } = encode([{ literals: Buffer.from('hello '), back: 5, count: 40 }], Buffer.from('the end'))
    const whole = frame(block)
    for (let length = 0; length < whole.length; length++) {
      expect(() => readLz4Legacy(whole.subarray(0, length), MOST)).toThrow(CoveError)
    }
  })
})
