import type { Hash } from 'node:crypto'
import { constants } from 'node:fs'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import { hashFor, algorithmOf } from '../reference/digest.ts'
import type { Compression, Descriptor } from './image-source.ts'

const READ_BYTES = 1024 * 1024
/** Small pieces of the network become writes of this size. */
const WRITE_BYTES = 512 * 1024

/** A blob that is being written to `<file>.part`, its digest known up to where it has come. */
export class BlobFile implements AsyncDisposable {
  readonly #blob: Descriptor
  readonly #file: string
  readonly #handle: FileHandle
  #hash: Hash
  #written = 0
  #chunks: Uint8Array[] = []
  #waiting = 0

  private constructor(blob: Descriptor, file: string, handle: FileHandle) {
    this.#blob = blob
    this.#file = file
    this.#handle = handle
    this.#hash = hashFor(blob.digest)
  }

  /** Goes on where an earlier attempt ended. */
  static async open(blob: Descriptor, file: string): Promise<BlobFile> {
    const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants
    const handle = await open(`${file}.part`, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
    const made = new BlobFile(blob, file, handle)
    try {
      await made.#readBack()
      return made
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Bytes that are in the file, or will be with the next `flush`. */
  get length(): number {
    return this.#written + this.#waiting
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.length + chunk.length > this.#blob.size) {
      await this.restart()
      throw new CoveError('image-invalid', `${describe(this.#blob)} is longer than its ${this.#blob.size} bytes`)
    }
    this.#hash.update(chunk)
    this.#chunks.push(chunk)
    this.#waiting += chunk.length
    if (this.#waiting >= WRITE_BYTES) await this.flush()
  }

  async flush(): Promise<void> {
    if (this.#waiting === 0) return
    const { bytesWritten } = await this.#handle.writev(this.#chunks, this.#written)
    // A disk that fills up may take a part.
    if (bytesWritten !== this.#waiting) throw new CoveError('no-space', 'the disk has not taken all of a layer')
    this.#written += bytesWritten
    this.#waiting = 0
    this.#chunks = []
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0)
    this.#hash = hashFor(this.#blob.digest)
    this.#written = 0
    this.#waiting = 0
    this.#chunks = []
  }

  /** Whether what is there is the blob. Ends the writing: afterwards only `finish` or `restart`. */
  async verify(): Promise<boolean> {
    await this.flush()
    const { digest, size } = this.#blob
    return this.#written === size && `${algorithmOf(digest)}:${this.#hash.digest('hex')}` === digest
  }

  /** Gives it its name; whoever finds that, finds all of it, also after the power was cut. */
  async finish(): Promise<Compression> {
    await this.#handle.datasync()
    const head = Buffer.alloc(4)
    await this.#handle.read(head, 0, 4, 0)
    await rename(`${this.#file}.part`, this.#file)
    return compressionOf(head)
  }

  async remove(): Promise<void> {
    await rm(`${this.#file}.part`, { force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }

  async #readBack(): Promise<void> {
    const { size } = await this.#handle.stat()
    if (size > this.#blob.size) return this.restart()
    const buffer = Buffer.allocUnsafe(Math.min(size, READ_BYTES))
    while (this.#written < size) {
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, this.#written)
      if (bytesRead === 0) return this.restart()
      this.#hash.update(buffer.subarray(0, bytesRead))
      this.#written += bytesRead
    }
  }
}

export function compressionOf(head: Uint8Array): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip'
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return 'zstd'
  return 'none'
}

export function describe({ digest }: Descriptor): string {
  return `the blob ${digest.slice(0, 'sha256:'.length + 12)}`
}
