import type { CapturedOutput } from './run-result.ts'

const FIRST_CAPACITY = 4096

/** Keeps the first and the last half of a stream within a limit, and counts what was between them. */
export class HeadAndTail {
  readonly #headLimit: number
  readonly #tailLimit: number
  #head = new Uint8Array(0)
  #headSize = 0
  /** A ring: byte n of the tail stands at n modulo its limit. */
  #tail = new Uint8Array(0)
  #tailTotal = 0
  #omitted = 0

  constructor(limit: number) {
    this.#headLimit = Math.ceil(limit / 2)
    this.#tailLimit = Math.floor(limit / 2)
  }

  push(data: Uint8Array): void {
    const toHead = Math.min(this.#headLimit - this.#headSize, data.byteLength)
    if (toHead > 0) this.#pushHead(data.subarray(0, toHead))
    if (toHead < data.byteLength) this.#pushTail(data.subarray(toHead))
  }

  /** Bytes that were lost before they came here. */
  skip(count: number): void {
    this.#omitted += count
  }

  result(): CapturedOutput {
    const tailSize = Math.min(this.#tailTotal, this.#tailLimit)
    const bytes = new Uint8Array(this.#headSize + tailSize)
    bytes.set(this.#head.subarray(0, this.#headSize))
    const start = tailSize < this.#tailTotal ? this.#tailTotal % this.#tailLimit : 0
    const first = this.#tail.subarray(start, tailSize)
    bytes.set(first, this.#headSize)
    bytes.set(this.#tail.subarray(0, start), this.#headSize + first.byteLength)
    return { bytes, omitted: this.#omitted + this.#tailTotal - tailSize }
  }

  #pushHead(data: Uint8Array): void {
    const size = this.#headSize + data.byteLength
    if (size > this.#head.byteLength) {
      const capacity = Math.min(this.#headLimit, Math.max(size, this.#head.byteLength * 2, FIRST_CAPACITY))
      const grown = new Uint8Array(capacity)
      grown.set(this.#head.subarray(0, this.#headSize))
      this.#head = grown
    }
    this.#head.set(data, this.#headSize)
    this.#headSize = size
  }

  #pushTail(data: Uint8Array): void {
    if (this.#tail.byteLength === 0) this.#tail = new Uint8Array(this.#tailLimit)
    const kept = data.subarray(Math.max(0, data.byteLength - this.#tailLimit))
    const at = this.#tailLimit === 0 ? 0 : (this.#tailTotal + data.byteLength - kept.byteLength) % this.#tailLimit
    const toEnd = kept.subarray(0, this.#tailLimit - at)
    this.#tail.set(toEnd, at)
    this.#tail.set(kept.subarray(toEnd.byteLength))
    this.#tailTotal += data.byteLength
  }
}
