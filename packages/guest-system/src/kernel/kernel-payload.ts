import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { CoveError } from '@cove/domain'
import { LZ4_LEGACY_MAGIC, readLz4Legacy } from './lz4.ts'

/** Larger than any kernel, and small enough for memory. */
const MOST = 256 * 1024 * 1024
const SETUP_MAGIC = 'HdrS'
const OLDEST_PROTOCOL = 0x208

/** Unpacks with a program of this machine what Node cannot: `name -d -c`. Answers at most `most` bytes. */
export type Unpack = (name: 'xz' | 'bzip2' | 'lzma', input: Uint8Array, most: number) => Promise<Buffer>

/**
 * The image that a VM boots, out of what a distribution puts in /boot: on x86-64 the ELF image inside a bzImage (boot
 * protocol 2.08 and later), on arm64 the image, which may be compressed. An image as it is stays so.
 */
export async function kernelPayload(file: Uint8Array, unpack: Unpack): Promise<Buffer> {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  return await decompress(isBzImage(bytes) ? insideBzImage(bytes) : bytes, unpack)
}

const isBzImage = (bytes: Buffer): boolean =>
  bytes.length > 0x260 && bytes.toString('latin1', 0x202, 0x206) === SETUP_MAGIC

function insideBzImage(bytes: Buffer): Buffer {
  if (bytes.readUInt16LE(0x206) < OLDEST_PROTOCOL) throw refuse('its boot protocol is older than 2.08')
  const sectors = bytes[0x1f1] === 0 ? 4 : (bytes[0x1f1] ?? 4)
  const start = (sectors + 1) * 512 + bytes.readUInt32LE(0x248)
  const length = bytes.readUInt32LE(0x24c)
  if (length === 0 || start + length > bytes.length) throw refuse('it is cut short')
  const payload = bytes.subarray(start, start + length)
  // Behind all but gzip the build writes the whole length, which is of no use here.
  return starts(payload, 0x1f, 0x8b) ? payload : payload.subarray(0, -4)
}

async function decompress(bytes: Buffer, unpack: Unpack): Promise<Buffer> {
  try {
    if (starts(bytes, 0x1f, 0x8b)) return gunzipSync(bytes, { maxOutputLength: MOST })
    if (starts(bytes, 0x28, 0xb5, 0x2f, 0xfd)) return zstdDecompressSync(bytes, { maxOutputLength: MOST })
  } catch (cause) {
    throw new CoveError('kernel-invalid', 'the compressed part of the kernel is damaged', {}, { cause })
  }
  if (bytes.length >= 4 && bytes.readUInt32LE(0) === LZ4_LEGACY_MAGIC) return readLz4Legacy(bytes, MOST)
  if (starts(bytes, 0xfd, 0x37, 0x7a, 0x58, 0x5a)) return await unpack('xz', bytes, MOST)
  if (starts(bytes, 0x42, 0x5a, 0x68)) return await unpack('bzip2', bytes, MOST)
  if (starts(bytes, 0x5d, 0, 0)) return await unpack('lzma', bytes, MOST)
  if (starts(bytes, 0x89, 0x4c, 0x5a, 0x4f)) throw refuse('it is compressed with LZO, which cannot be read here')
  return Buffer.from(bytes)
}

const starts = (bytes: Buffer, ...magic: readonly number[]): boolean => magic.every((byte, at) => bytes[at] === byte)

function refuse(why: string): CoveError {
  return new CoveError('kernel-invalid', `the kernel cannot be unpacked: ${why}`)
}
