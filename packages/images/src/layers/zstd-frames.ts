import { CoveError } from '@cove/domain'

const FRAME = 0xfd2fb528
const SKIPPABLE = 0x184d2a50

/**
 * Cuts a zstd stream so that no chunk reaches over the end of a frame, and leaves out the frames that have no content:
 * Node's decoder goes on with the next frame only when that begins a chunk, and takes what follows in the same chunk for
 * the end of everything. A stream that ends within a frame is `image-invalid`.
 */
export async function* zstdFrames(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const frames = new FrameScanner()
  for await (const chunk of source) yield* frames.take(chunk)
  frames.end()
}

type State = 'magic' | 'skippable-size' | 'skipping' | 'descriptor' | 'header' | 'block' | 'content' | 'checksum'

class FrameScanner {
  #state: State = 'magic'
  /** Bytes of the state's own that are still to come. */
  #rest = 4
  /** Little-endian value of the last bytes that had a meaning; never more than four. */
  #value = 0
  #shift = 0
  #hasChecksum = false
  #isLast = false

  end(): void {
    if (this.#state !== 'magic' || this.#rest !== 4) throw invalid('it ends within a frame')
  }

  *take(chunk: Uint8Array): Generator<Uint8Array> {
    let from = 0
    let at = 0
    while (at < chunk.length) {
      const count = Math.min(this.#rest, chunk.length - at)
      if (this.#isRead()) for (let byte = at; byte < at + count; byte += 1) this.#read(chunk[byte] ?? 0)
      this.#rest -= count
      at += count
      if (this.#isLeftOut()) from = at
      while (this.#rest === 0) {
        const done = this.#state
        const value = this.#value
        this.#value = 0
        this.#shift = 0
        this.#next(done, value)
        // Held back until it was known to begin a frame of content.
        if (done === 'magic' && this.#state === 'descriptor') yield magicOf(value)
        if (this.#state === 'magic') {
          if (at > from) yield chunk.subarray(from, at)
          from = at
        }
      }
    }
    if (at > from) yield chunk.subarray(from, at)
  }

  #isLeftOut(): boolean {
    return this.#state === 'magic' || this.#state === 'skippable-size' || this.#state === 'skipping'
  }

  #isRead(): boolean {
    return this.#state !== 'skipping' && this.#state !== 'header' && this.#state !== 'content'
  }

  #read(byte: number): void {
    this.#value += byte * 2 ** this.#shift
    this.#shift += 8
  }

  #go(state: State, rest: number): void {
    this.#state = state
    this.#rest = rest
  }

  #next(done: State, value: number): void {
    switch (done) {
      case 'magic':
        if (value === FRAME) this.#go('descriptor', 1)
        else if (value >= SKIPPABLE && value < SKIPPABLE + 16) this.#go('skippable-size', 4)
        else throw invalid('what follows is no frame')
        return
      case 'skippable-size':
        this.#go('skipping', value)
        return
      case 'descriptor':
        this.#hasChecksum = (value & 4) !== 0
        this.#go('header', headerBytes(value))
        return
      case 'header':
        this.#go('block', 3)
        return
      case 'block': {
        this.#isLast = (value & 1) === 1
        // A run of one byte is stored as that byte.
        const size = ((value >> 1) & 3) === 1 ? 1 : value >> 3
        this.#go('content', size)
        return
      }
      case 'content':
        if (!this.#isLast) this.#go('block', 3)
        else if (this.#hasChecksum) this.#go('checksum', 4)
        else this.#go('magic', 4)
        return
      case 'skipping':
      case 'checksum':
        this.#go('magic', 4)
    }
  }
}

/** What follows the descriptor: window, dictionary and size of the content. */
function headerBytes(descriptor: number): number {
  const single = (descriptor & 0x20) !== 0
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0
  const size = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
  return (single ? 0 : 1) + dictionary + size
}

function magicOf(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function invalid(why: string): CoveError {
  return new CoveError('image-invalid', `the archive does not decompress: ${why}`)
}
