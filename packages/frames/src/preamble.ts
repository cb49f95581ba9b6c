import { FrameError } from './frame-error.ts'

/** 16 bytes `0xFF`, `COVESYNC`, 16 bytes nonce. */
export const PREAMBLE_BYTES = 40
export const NONCE_BYTES = 16
const MARK_LEAD = 16
const WORD = Buffer.from('COVESYNC')
/** What no single `data` frame may contain. */
const MARK = Buffer.concat([Buffer.alloc(MARK_LEAD, 0xff), WORD])

export function encodePreamble(nonce: Uint8Array): Buffer {
  if (nonce.length !== NONCE_BYTES) throw new FrameError('a nonce has 16 bytes', 'preamble')
  return Buffer.concat([MARK, nonce])
}

/**
 * Where a payload has to be cut so that none of the pieces contains the start of a preamble: the index of
 * `COVESYNC` behind 16 bytes `0xFF`, or -1.
 */
export function findMark(bytes: Uint8Array): number {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const at = view.indexOf(MARK)
  return at < 0 ? -1 : at + MARK_LEAD
}

export interface PreambleFound {
  readonly nonce: Buffer
  /** Index in the pushed chunk of the first byte behind the preamble. */
  readonly end: number
}

/**
 * Finds preambles in a stream, wherever it is cut; holds at most 39 bytes between chunks. The nonce of one that was
 * found may be the beginning of the next: its writer was cut off.
 */
export class PreambleScanner {
  #tail: Buffer = Buffer.alloc(0)

  /** The first preamble that ends at or after `from`. Call again with its `end` for the next one in the same chunk. */
  push(chunk: Buffer, from = 0): PreambleFound | undefined {
    const fresh = from === 0 ? chunk : chunk.subarray(from)
    // Only the seam between the chunks is copied; the bulk is searched where it is.
    if (this.#tail.length > 0) {
      const seam = Buffer.concat([this.#tail, fresh.subarray(0, PREAMBLE_BYTES - 1)])
      const found = this.#search(seam)
      if (found !== undefined && found.end > this.#tail.length) {
        const end = from + found.end - this.#tail.length
        this.#tail = found.nonce
        return { nonce: found.nonce, end }
      }
    }
    const found = this.#search(fresh)
    if (found !== undefined) {
      this.#tail = found.nonce
      return { nonce: found.nonce, end: from + found.end }
    }
    const keep = PREAMBLE_BYTES - 1
    this.#tail =
      fresh.length >= keep
        ? Buffer.from(fresh.subarray(fresh.length - keep))
        : Buffer.concat([this.#tail, fresh]).subarray(-keep)
    return undefined
  }

  #search(bytes: Buffer): PreambleFound | undefined {
    const at = bytes.indexOf(MARK)
    if (at < 0 || bytes.length - at < PREAMBLE_BYTES) return undefined
    return { nonce: Buffer.from(bytes.subarray(at + MARK.length, at + PREAMBLE_BYTES)), end: at + PREAMBLE_BYTES }
  }
}
