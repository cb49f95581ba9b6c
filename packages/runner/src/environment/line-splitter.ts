import { LONGEST_LINE_BYTES, type Line } from './line.ts'

const NEWLINE = 10
/**
 * Bytes decoded at once. More is slower, for it falls out of the processor's caches; and a line that is kept holds on to
 * as much, for it is a part of what was decoded.
 */
const STEP_BYTES = 64 * 1024
const NONE: readonly Line[] = []

/**
 * Makes lines of the bytes of one stream. What is not UTF-8 becomes U+FFFD. Bytes are taken before a call returns: the
 * caller may use its buffer again.
 */
export class LineSplitter {
  readonly #stream: Line['stream']
  readonly #longest: number
  readonly #step: number
  #held: Buffer = Buffer.alloc(0)
  #length = 0

  constructor(stream: Line['stream'], longest: number = LONGEST_LINE_BYTES) {
    this.#stream = stream
    this.#longest = longest
    this.#step = Math.min(STEP_BYTES, longest)
  }

  /** The lines that are whole now. */
  push(chunk: Buffer): readonly Line[] {
    const step = this.#step
    if (chunk.length <= step) return this.#pushStep(chunk)
    const lines: Line[] = []
    for (let at = 0; at < chunk.length; at += step) {
      for (const line of this.#pushStep(chunk.subarray(at, at + step))) lines.push(line)
    }
    return lines
  }

  /** The same without the lines: for as long as nobody reads. */
  skip(chunk: Buffer): void {
    const last = chunk.lastIndexOf(NEWLINE)
    if (last !== -1) this.#length = 0
    this.#hold(chunk.subarray(last + 1), undefined)
  }

  /** What came after the last line end, if anything did. */
  end(): readonly Line[] {
    if (this.#length === 0) return NONE
    return [this.#take(this.#length, false)]
  }

  #pushStep(chunk: Buffer): readonly Line[] {
    const last = chunk.lastIndexOf(NEWLINE)
    const lines: Line[] = []
    let from = 0
    if (last !== -1 && this.#length > 0) {
      const first = chunk.indexOf(NEWLINE)
      this.#hold(chunk.subarray(0, first), lines)
      lines.push(this.#take(this.#length, false))
      from = first + 1
    }
    if (last >= from) this.#split(chunk.toString('utf8', from, last), lines)
    this.#hold(chunk.subarray(last + 1), lines)
    return lines
  }

  /** Decodes many lines at once, which is several times as fast as one by one. */
  #split(text: string, lines: Line[]): void {
    const stream = this.#stream
    let from = 0
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', from)) {
      lines.push({ stream, text: text.slice(from, at), continued: false })
      from = at + 1
    }
    lines.push({ stream, text: from === 0 ? text : text.slice(from), continued: false })
  }

  #hold(bytes: Buffer, lines: Line[] | undefined): void {
    let rest = bytes
    while (rest.length > 0) {
      const room = this.#longest - this.#length
      const part = rest.subarray(0, room)
      this.#append(part)
      rest = rest.subarray(part.length)
      if (rest.length === 0) return
      const cut = wholeCharacters(this.#held, this.#length)
      const piece = this.#take(cut, true)
      lines?.push(piece)
    }
  }

  #append(bytes: Buffer): void {
    const needed = this.#length + bytes.length
    if (needed > this.#held.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(this.#longest, Math.max(needed, this.#held.length * 2, 4096)))
      this.#held.copy(larger, 0, 0, this.#length)
      this.#held = larger
    }
    bytes.copy(this.#held, this.#length)
    this.#length = needed
  }

  #take(count: number, continued: boolean): Line {
    const text = this.#held.toString('utf8', 0, count)
    this.#held.copyWithin(0, count, this.#length)
    this.#length -= count
    // One long line must not be paid for until the end.
    if (this.#length === 0 && !continued && this.#held.length > STEP_BYTES) this.#held = Buffer.alloc(0)
    return { stream: this.#stream, text, continued }
  }
}

/** The largest count of bytes up to `length` that does not end in the middle of a character. */
function wholeCharacters(bytes: Buffer, length: number): number {
  for (let back = 1; back <= 3 && back < length; back += 1) {
    const byte = bytes[length - back] ?? 0
    if (byte < 0x80) return length
    if (byte < 0xc0) continue
    const size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
    return size > back ? length - back : length
  }
  return length
}
