import { CoveError } from '@cove/domain'

/** First bytes of the legacy frame, in which the kernel's own build compresses. */
export const LZ4_LEGACY_MAGIC = 0x184c2102
/** Every block but the last one becomes this long. */
const BLOCK_BYTES = 8 * 1024 * 1024
const LEAST_MATCH = 4

/**
 * Reads a legacy frame of LZ4. It may grow to `most` bytes; what follows its last block is left alone where it can be
 * no block. `kernel-invalid` where it is damaged.
 */
export function readLz4Legacy(input: Uint8Array, most: number): Buffer {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  if (bytes.length < 4 || bytes.readUInt32LE(0) !== LZ4_LEGACY_MAGIC) throw damaged('it does not begin as one')
  const blocks: Buffer[] = []
  let total = 0
  let at = 4
  while (at + 4 <= bytes.length) {
    const size = bytes.readUInt32LE(at)
    at += 4
    if (size === LZ4_LEGACY_MAGIC) continue
    const left = bytes.length - at
    // Behind the last block stands the whole length, which the boot loader reads.
    if (size === 0 || (left === 0 && blocks.length > 0)) break
    if (size > left) throw damaged('it is cut short')
    const block = readBlock(bytes.subarray(at, at + size), Math.min(BLOCK_BYTES, most - total))
    blocks.push(block)
    total += block.length
    at += size
    if (block.length < BLOCK_BYTES) break
  }
  if (blocks.length === 0) throw damaged('it is empty')
  return Buffer.concat(blocks, total)
}

/** One block, of at most `most` bytes. */
export function readBlock(input: Uint8Array, most: number): Buffer {
  const output = Buffer.allocUnsafe(most)
  let read = 0
  let written = 0
  const next = (): number => {
    const byte = input[read++]
    if (byte === undefined) throw damaged('it is cut short')
    return byte
  }
  const length = (short: number): number => {
    let sum = short
    for (let more = short === 15 ? 255 : 0; more === 255; sum += more) more = next()
    return sum
  }
  while (read < input.length) {
    const token = next()
    const literals = length(token >> 4)
    if (literals > input.length - read) throw damaged('it is cut short')
    if (literals > most - written) throw damaged('it is longer than it may be')
    output.set(input.subarray(read, read + literals), written)
    read += literals
    written += literals
    // The last sequence has no match.
    if (read === input.length) break
    const distance = next() | (next() << 8)
    const count = length(token & 15) + LEAST_MATCH
    if (distance === 0 || distance > written) throw damaged('it refers to what was not there')
    if (count > most - written) throw damaged('it is longer than it may be')
    if (distance >= count) output.copyWithin(written, written - distance, written - distance + count)
    else for (let index = 0; index < count; index++) output[written + index] = output[written - distance + index] ?? 0
    written += count
  }
  return Buffer.from(output.subarray(0, written))
}

function damaged(why: string): CoveError {
  return new CoveError('kernel-invalid', `the LZ4 part of the kernel is damaged: ${why}`)
}
