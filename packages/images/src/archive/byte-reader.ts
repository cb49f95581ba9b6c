import { CoveError } from '@cove/domain'
import { unlessAborted } from '../registry/temporary-fault.ts'

/** Takes exact numbers of bytes from pieces of any size; holds one piece at a time. */
export class ByteReader implements AsyncDisposable {
  readonly #pieces: AsyncIterator<Uint8Array>
  readonly #signal: AbortSignal
  #piece: Uint8Array = new Uint8Array()
  #taken = 0

  constructor(pieces: AsyncIterable<Uint8Array>, signal: AbortSignal) {
    this.#pieces = pieces[Symbol.asyncIterator]()
    this.#signal = signal
  }

  /** Bytes that have been taken. */
  get taken(): number {
    return this.#taken
  }

  /** At most so many, at least one; undefined at the end. */
  async some(most: number): Promise<Uint8Array | undefined> {
    while (this.#piece.length === 0) {
      const { value, done } = await unlessAborted(this.#pieces.next(), this.#signal)
      if (done === true) return undefined
      this.#piece = value
    }
    const part = this.#piece.subarray(0, most)
    this.#piece = this.#piece.subarray(part.length)
    this.#taken += part.length
    return part
  }

  /** Exactly so many, which have to fit into memory; undefined when the end is here already. */
  async exactly(count: number): Promise<Buffer | undefined> {
    const bytes = Buffer.alloc(count)
    let filled = 0
    while (filled < count) {
      const part = await this.some(count - filled)
      if (part === undefined && filled === 0) return undefined
      if (part === undefined) throw cutShort()
      bytes.set(part, filled)
      filled += part.length
    }
    return bytes
  }

  /** The next `count` bytes, piece by piece. */
  async *stream(count: number): AsyncGenerator<Uint8Array, void, void> {
    for (let left = count; left > 0;) {
      const part = await this.some(left)
      if (part === undefined) throw cutShort()
      left -= part.length
      yield part
    }
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0;) {
      const part = await this.some(left)
      if (part === undefined) throw cutShort()
      left -= part.length
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A source that does not answer cannot be told; it is nobody's to wait for.
    if (!this.#signal.aborted) await this.#pieces.return?.()
    else void this.#pieces.return?.()?.catch(() => undefined)
  }
}

export function cutShort(): CoveError {
  return new CoveError('image-invalid', 'the archive ends too early')
}
