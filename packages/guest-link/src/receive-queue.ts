import type { StreamNumber } from '@cove/frames'

/** From this size a piece is kept as it came; smaller ones are copied together, so that they hold no chunk alive. */
const KEEP_WHOLE = 16 * 1024
const FIRST_SLAB = 1024
const SLAB = 16 * 1024

export interface Piece {
  readonly stream: StreamNumber
  readonly data: Buffer
}

/** Bytes of several streams copied together; runs alternate stream and length. */
interface Slab {
  readonly buffer: Buffer
  fill: number
  readonly runs: number[]
  taken: number
  nextRun: number
}

type Entry<Marker> = { piece: Piece } | { slab: Slab } | { marker: Marker }

/**
 * What has come on one channel and has not been taken, in order: bytes of streams, and markers between them. Its
 * memory is a small multiple of the bytes in it, whatever the size of the pieces they came in; the bytes are bounded
 * by the channel's credit and the markers by the channel.
 */
export class ReceiveQueue<Marker> {
  #entries: Entry<Marker>[] = []
  #head = 0

  get empty(): boolean {
    return this.#head === this.#entries.length
  }

  clear(): void {
    this.#entries = []
    this.#head = 0
  }

  pushMarker(marker: Marker): void {
    this.#entries.push({ marker })
  }

  pushBytes(stream: StreamNumber, data: Buffer): void {
    if (data.length >= KEEP_WHOLE) {
      this.#entries.push({ piece: { stream, data } })
      return
    }
    const slab = this.#slabFor(data.length)
    data.copy(slab.buffer, slab.fill)
    slab.fill += data.length
    const last = slab.runs.length - 2
    if (last >= slab.nextRun && slab.runs[last] === stream) {
      slab.runs[last + 1] = (slab.runs[last + 1] ?? 0) + data.length
    } else {
      slab.runs.push(stream, data.length)
    }
  }

  shift(): { readonly piece: Piece } | { readonly marker: Marker } | undefined {
    const entry = this.#entries[this.#head]
    if (entry === undefined) return undefined
    if ('slab' in entry) {
      const piece = takeRun(entry.slab)
      if (entry.slab.nextRun === entry.slab.runs.length) this.#advance()
      return { piece }
    }
    this.#advance()
    return entry
  }

  #slabFor(length: number): Slab {
    const last = this.empty ? undefined : this.#entries.at(-1)
    if (last !== undefined && 'slab' in last && last.slab.buffer.length - last.slab.fill >= length) return last.slab
    const size = Math.max(length, this.empty ? FIRST_SLAB : SLAB)
    const slab: Slab = { buffer: Buffer.allocUnsafe(size), fill: 0, runs: [], taken: 0, nextRun: 0 }
    this.#entries.push({ slab })
    return slab
  }

  #advance(): void {
    this.#head += 1
    if (this.#head === this.#entries.length) this.clear()
    else if (this.#head >= 64 && this.#head * 2 >= this.#entries.length) {
      this.#entries.splice(0, this.#head)
      this.#head = 0
    }
  }
}

function takeRun(slab: Slab): Piece {
  const stream = (slab.runs[slab.nextRun] ?? 0) as StreamNumber
  const length = slab.runs[slab.nextRun + 1] ?? 0
  slab.nextRun += 2
  const data = slab.buffer.subarray(slab.taken, slab.taken + length)
  slab.taken += length
  return { stream, data }
}
