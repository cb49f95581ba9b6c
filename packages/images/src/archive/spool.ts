import { createHash } from 'node:crypto'
import { mkdir, open, rm } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { CoveError } from '@cove/domain'
import type { Compression, FetchLayerOptions, LayerBlob } from '../registry/image-source.ts'
import { describe } from '../registry/blob-file.ts'
import type { ByteReader } from './byte-reader.ts'
import { freshName, placeVerified, readSmall, type ImageFiles } from './image-files.ts'
import { readTar, type TarEntry } from './read-tar.ts'

/** An archive of a thousand images with a hundred layers each has fewer. */
const MAX_ENTRIES = 200_000
const MAX_FILES = 10_000
const MAX_NAME = 1_024
const MAX_LINKS = 8

interface Spooled {
  readonly file: string
  readonly size: number
  /** By the algorithm that its name tells; else sha256. */
  readonly digest: string
}

/** The files of a tar archive in a folder, under numbers: their names mean nothing to the file system. */
export class Spool implements ImageFiles, AsyncDisposable {
  readonly #folder: string
  readonly #files = new Map<string, Spooled>()
  readonly #links = new Map<string, string>()
  #next = 0

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** Takes all of it, at most `maxBytes`; blobs are verified against their names. */
  static async read(reader: ByteReader, scratch: string, maxBytes: number): Promise<Spool> {
    const folder = join(scratch, freshName())
    await mkdir(folder, { mode: 0o700 })
    const spool = new Spool(folder)
    try {
      await spool.#take(reader, maxBytes)
      return spool
    } catch (error) {
      await spool[Symbol.asyncDispose]()
      throw CoveError.from(error, 'io-error')
    }
  }

  async read(name: string, most: number): Promise<Buffer | undefined> {
    const found = this.#find(name)
    return found === undefined ? undefined : readSmall(found.file, most)
  }

  facts(name: string): { readonly digest: string; readonly size: number } | undefined {
    return this.#find(name)
  }

  async place(name: string, layer: LayerBlob, file: string, options: FetchLayerOptions): Promise<Compression> {
    const found = this.#find(name)
    if (found === undefined) throw new CoveError('image-invalid', `${describe(layer)} is not in the archive`)
    if (found.digest !== layer.digest || found.size !== layer.size) {
      throw new CoveError('image-invalid', `${describe(layer)} has another size or digest than it should have`)
    }
    return placeVerified(found.file, layer, file, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }

  #find(name: string): Spooled | undefined {
    let at = posix.normalize(name)
    for (let hops = 0; hops < MAX_LINKS; hops++) {
      const target = this.#links.get(at)
      if (target === undefined) return this.#files.get(at)
      at = target
    }
    return undefined
  }

  async #take(reader: ByteReader, maxBytes: number): Promise<void> {
    let count = 0
    for await (const entry of readTar(reader)) {
      if (++count > MAX_ENTRIES || this.#files.size + this.#links.size >= MAX_FILES) {
        throw new CoveError('image-invalid', 'the archive has more entries than any archive of images')
      }
      if (reader.taken + entry.size > maxBytes) {
        throw new CoveError('image-invalid', `the archive has more than ${maxBytes} bytes`)
      }
      const name = inside(entry.name)
      if (entry.kind === 'file') await this.#keep(name, entry)
      else if (entry.kind === 'hardlink') this.#link(name, inside(entry.linkName))
      else if (entry.kind === 'symlink') this.#link(name, inside(targetOf(name, entry.linkName)))
    }
  }

  #link(name: string, target: string): void {
    if (this.#files.has(name) || (this.#links.get(name) ?? target) !== target) throw twice(name)
    this.#links.set(name, target)
  }

  async #keep(name: string, entry: TarEntry): Promise<void> {
    const file = join(this.#folder, String(this.#next++))
    const blob = /^blobs\/(sha256|sha512)\/([0-9a-f]+)$/.exec(name)
    const hash = createHash(blob?.[1] ?? 'sha256')
    await using handle = await open(file, 'w', 0o600)
    for await (const chunk of entry.content) {
      hash.update(chunk)
      for (let at = 0; at < chunk.length;) at += (await handle.write(chunk, at)).bytesWritten
    }
    const digest = `${blob?.[1] ?? 'sha256'}:${hash.digest('hex')}`
    if (blob !== null && digest !== `${blob[1]}:${blob[2]}`) {
      throw new CoveError('image-invalid', `${name} in the archive has another digest`)
    }
    const before = this.#files.get(name)
    if (this.#links.has(name) || (before !== undefined && before.digest !== digest)) throw twice(name)
    this.#files.set(name, { file, size: entry.size, digest })
  }
}

/** A name below the archive's own root. */
function inside(name: string): string {
  const plain = posix.normalize(name.replace(/\/+$/, ''))
  const parts = plain.split('/')
  if (name.length > MAX_NAME || posix.isAbsolute(plain) || parts.includes('..') || name.includes('\0')) {
    throw new CoveError('image-invalid', `the archive has a name that leads out of it: ${quote(name)}`)
  }
  return plain
}

/** Relative to where the link lies; one that begins at a root stays so, and is refused. */
function targetOf(name: string, link: string): string {
  return posix.isAbsolute(link) ? link : posix.join(posix.dirname(name), link)
}

function twice(name: string): CoveError {
  return new CoveError('image-invalid', `the archive has ${quote(name)} twice`)
}

function quote(name: string): string {
  return JSON.stringify(name.slice(0, 200))
}
