import type { StreamNumber } from '@cove/frames'

/** Bytes of output that are kept for readers that come later. */
const CAPACITY = 262_144
const PIECE = 65_536

interface Piece {
  readonly stream: StreamNumber
  readonly start: number
  readonly data: Buffer
}

export interface RingReader {
  position: number
}

/** One process's output: writers wait for attached readers; with none, the oldest bytes go. */
export class OutputRing {
  readonly #pieces: Piece[] = []
  readonly #readers = new Set<RingReader>()
  #to = 0
  #ended = false
  #waiting: (() => void)[] = []

  get from(): number {
    return this.#pieces[0]?.start ?? this.#to
  }

  get to(): number {
    return this.#to
  }

  /** No more will come. */
  end(): void {
    this.#ended = true
    this.#wake()
  }

  attach(position: number): RingReader {
    const reader = { position }
    this.#readers.add(reader)
    return reader
  }

  detach(reader: RingReader): void {
    this.#readers.delete(reader)
    this.#wake()
  }

  /** Resolves when all of it is in the ring; nothing when `signal` aborts before. */
  async write(stream: StreamNumber, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    for (let at = 0; at < bytes.length; at += PIECE) {
      const data = Buffer.from(bytes.subarray(at, at + PIECE))
      while (!this.#makeRoom(data.length)) {
        if (signal.aborted) return
        await this.#change(signal)
      }
      if (signal.aborted) return
      this.#pieces.push({ stream, start: this.#to, data })
      this.#to += data.length
      this.#wake()
    }
  }

  /** The next bytes of one stream for this reader; undefined when there is no more, or `signal` aborts. */
  async read(reader: RingReader, signal: AbortSignal): Promise<{ stream: StreamNumber; data: Buffer } | undefined> {
    for (;;) {
      if (signal.aborted) return undefined
      const piece = this.#pieces.find((one) => one.start + one.data.length > reader.position)
      if (piece !== undefined) {
        return { stream: piece.stream, data: piece.data.subarray(reader.position - piece.start) }
      }
      if (this.#ended) return undefined
      await this.#change(signal)
    }
  }

  /** The reader has passed on this many bytes. */
  advance(reader: RingReader, bytes: number): void {
    reader.position += bytes
    this.#wake()
  }

  #makeRoom(bytes: number): boolean {
    for (;;) {
      const first = this.#pieces[0]
      if (first === undefined || this.#to + bytes - first.start <= CAPACITY) return true
      const end = first.start + first.data.length
      for (const reader of this.#readers) if (reader.position < end) return false
      this.#pieces.shift()
    }
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done)
        resolve()
      }
      signal.addEventListener('abort', done, { once: true })
      this.#waiting.push(done)
    })
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const listener of waiting) listener()
  }
}
