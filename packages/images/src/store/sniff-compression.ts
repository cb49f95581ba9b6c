import { open } from 'node:fs/promises'

export type FileCompression = 'none' | 'gzip' | 'zstd' | 'xz' | 'bzip2'

const MAGIC: readonly (readonly [FileCompression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['bzip2', [0x42, 0x5a, 0x68]],
]

/** By its first bytes, whatever its name says. */
export async function sniffFile(path: string): Promise<FileCompression> {
  await using file = await open(path, 'r')
  const { buffer, bytesRead } = await file.read(Buffer.alloc(6), 0, 6, 0)
  const start = buffer.subarray(0, bytesRead)
  const found = MAGIC.find(([, magic]) => magic.length <= start.length && magic.every((byte, at) => start[at] === byte))
  return found?.[0] ?? 'none'
}

/** Of a layer: what no layer may be is taken for a bare archive, and is none. */
export async function sniffCompression(path: string): Promise<'none' | 'gzip' | 'zstd'> {
  const found = await sniffFile(path)
  return found === 'gzip' || found === 'zstd' ? found : 'none'
}
