import { randomBytes } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { link, open } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import { BlobFile, compressionOf, describe } from '../registry/blob-file.ts'
import type { Compression, FetchLayerOptions, LayerBlob } from '../registry/image-source.ts'
import { cancelled } from '../registry/temporary-fault.ts'

/** The files of an archive of images, wherever they lie. Names are as in the archive: relative, with slashes. */
export interface ImageFiles {
  /** Undefined when there is none; `image-invalid` when it has more bytes. */
  read(name: string, most: number): Promise<Buffer | undefined>
  /** Digest (sha256) and size, where they are known without reading it. */
  facts(name: string): { readonly digest: string; readonly size: number } | undefined
  /** Puts a verified blob at `file`. */
  place(name: string, layer: LayerBlob, file: string, options: FetchLayerOptions): Promise<Compression>
}

/** Reads a small regular file; waits for no pipe, and says nothing of what is in it. */
export async function readSmall(file: string, most: number): Promise<Buffer | undefined> {
  try {
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    const facts = await handle.stat()
    if (!facts.isFile()) throw new CoveError('image-invalid', 'the archive has something else where a file is due')
    if (facts.size > most) throw new CoveError('image-invalid', `a document of the image has more than ${most} bytes`)
    const bytes = Buffer.alloc(facts.size)
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
    return bytes.subarray(0, bytesRead)
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return undefined
    throw CoveError.from(error, 'io-error')
  }
}

/** Copies a blob and verifies it on its way. */
export async function copyBlob(
  from: string,
  layer: LayerBlob,
  file: string,
  { signal, onBytes }: FetchLayerOptions,
): Promise<Compression> {
  try {
    await using source = await open(from, constants.O_RDONLY | constants.O_NONBLOCK)
    const facts = await source.stat()
    if (!facts.isFile() || facts.size !== layer.size) {
      throw new CoveError('image-invalid', `${describe(layer)} has not the ${layer.size} bytes that it should have`)
    }
    await using target = await BlobFile.open(layer, file)
    // What an earlier attempt left costs more to trust than to write again.
    await target.restart()
    for await (const chunk of createReadStream(from, { fd: source, autoClose: false, highWaterMark: 512 * 1024 })) {
      if (signal.aborted) throw cancelled(signal)
      await target.write(chunk as Buffer)
      onBytes?.(target.length)
    }
    if (await target.verify()) return await target.finish()
    await target.remove()
    throw new CoveError('image-invalid', `${describe(layer)} has another digest`)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) throw new CoveError('image-invalid', `${describe(layer)} is not in the archive`)
    throw CoveError.from(error, 'io-error')
  }
}

/** A second name for a file whose bytes are known already; a copy where the file system has no second names. */
export async function placeVerified(
  from: string,
  layer: LayerBlob,
  file: string,
  options: FetchLayerOptions,
): Promise<Compression> {
  try {
    await link(from, file)
  } catch (error) {
    if (!['EXDEV', 'EPERM', 'EMLINK'].some((code) => isErrno(error, code))) throw CoveError.from(error, 'io-error')
    return copyBlob(from, layer, file, options)
  }
  options.onBytes?.(layer.size)
  await using handle = await open(file, 'r')
  const head = Buffer.alloc(4)
  await handle.read(head, 0, 4, 0)
  await handle.datasync()
  return compressionOf(head)
}

/** For a folder of one's own. */
export function freshName(): string {
  return `archive-${randomBytes(8).toString('hex')}`
}

export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
