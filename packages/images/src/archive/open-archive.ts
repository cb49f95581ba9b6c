import { CoveError, type Platform } from '@cove/domain'
import { decompressed } from '../layers/decompress.ts'
import type { ImageSource } from '../registry/image-source.ts'
import { compressionOf } from '../registry/blob-file.ts'
import { ByteReader } from './byte-reader.ts'
import { openDockerImage } from './docker-image.ts'
import { LayoutFolder } from './layout-folder.ts'
import { openLayoutImage } from './layout-image.ts'
import { Spool } from './spool.ts'

export interface ArchiveOptions {
  /** Which image, when there is more than one: its tag or its name, as the archive has it. */
  readonly name?: string
  readonly platform: Platform
  /** A folder for what has to be kept while the source is in use; a folder of its own is made in it, and removed. */
  readonly scratch: string
  readonly signal: AbortSignal
  /** Bytes of the archive that have been read. */
  readonly onBytes?: (bytes: number) => void
  /** Of the archive without its compression. Default 256 GiB. */
  readonly maxBytes?: number
}

const MAX_BYTES = 256 * 1024 ** 3

/**
 * Reads an image of a tar archive of any size, compressed or not: an OCI layout, or what `docker save` writes. Errors:
 * `image-invalid`, `image-not-found` (no image of that name), `invalid-argument` (several; the message lists them),
 * `unsupported`, `no-space`, `cancelled`.
 */
export async function openArchive(archive: AsyncIterable<Uint8Array>, options: ArchiveOptions): Promise<ImageSource> {
  const { name, platform, scratch, signal, onBytes = () => undefined, maxBytes = MAX_BYTES } = options
  await using reader = new ByteReader(await decompress(counted(archive, onBytes), signal), signal)
  const spool = await Spool.read(reader, scratch, maxBytes)
  try {
    const image = (await openLayoutImage(spool, name, platform)) ?? (await openDockerImage(spool, name, platform))
    if (image === undefined) throw noArchive()
    return { ...image, [Symbol.asyncDispose]: () => spool[Symbol.asyncDispose]() }
  } catch (error) {
    await spool[Symbol.asyncDispose]()
    throw error
  }
}

/** Reads an OCI layout that is a directory; it stays as it is. Errors as `openArchive`. */
export async function openLayout(
  folder: string,
  { name, platform }: Pick<ArchiveOptions, 'name' | 'platform'>,
): Promise<ImageSource> {
  const image = await openLayoutImage(new LayoutFolder(folder), name, platform)
  if (image === undefined) throw noArchive()
  return { ...image, [Symbol.asyncDispose]: () => Promise.resolve() }
}

async function* counted(archive: AsyncIterable<Uint8Array>, onBytes: (bytes: number) => void) {
  let bytes = 0
  for await (const chunk of archive) {
    bytes += chunk.length
    onBytes(bytes)
    yield chunk
  }
}

/** By its first bytes, as `docker load` does. */
async function decompress(
  archive: AsyncGenerator<Uint8Array, void, void>,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const first = new ByteReader(archive, signal)
  const head = (await first.exactly(6)) ?? Buffer.alloc(0)
  const compression = compressionOf(head)
  if (head.toString('latin1', 0, 3) === 'BZh' || head.toString('latin1', 1, 5) === '7zXZ') {
    await first[Symbol.asyncDispose]()
    const fix = 'Decompress it first, or compress it with gzip or zstd.'
    throw new CoveError('unsupported', 'the archive is compressed with bzip2 or xz', {}, { fix })
  }
  return decompressed(joined(head, first), compression)
}

async function* joined(head: Buffer, rest: ByteReader): AsyncGenerator<Uint8Array, void, void> {
  await using reader = rest
  yield head
  for (let piece = await reader.some(CHUNK); piece !== undefined; piece = await reader.some(CHUNK)) yield piece
}

const CHUNK = 1024 * 1024

function noArchive(): CoveError {
  return new CoveError(
    'image-invalid',
    'there is neither an OCI layout nor what `docker save` writes',
    {},
    { fix: 'Write the archive with `docker save`, or with `skopeo copy … oci-archive:file.tar`.' },
  )
}
