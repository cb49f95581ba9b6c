const FIRST_CAPACITY = 4_096

/**
 * Keeps the head and the tail of a stream that may be endless. What is kept is copied: endless output in tiny pieces
 * takes no more memory than its bytes.
 */
export class OutputKeeper {
  readonly #headBytes: number
  readonly #tailBytes: number
  #head = new Uint8Array(0)
  #headLength = 0
  /** A ring: byte n behind the head stands at n modulo its length. */
  #tail = new Uint8Array(0)
  /** Bytes that came behind the head. */
  #behind = 0

  /** At most this many bytes are kept, half of them from each end. */
  constructor(maxBytes: number) {
    this.#headBytes = Math.ceil(maxBytes / 2)
    this.#tailBytes = maxBytes - this.#headBytes
  }

  /** Bytes left out between head and tail. */
  get omitted(): number {
    return Math.max(0, this.#behind - this.#tailBytes)
  }

  push(data: Uint8Array): void {
    const toHead = Math.min(this.#headBytes - this.#headLength, data.length)
    if (toHead > 0) this.#pushHead(data.subarray(0, toHead))
    if (toHead < data.length) this.#pushTail(toHead === 0 ? data : data.subarray(toHead))
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const tailLength = Math.min(this.#behind, this.#tailBytes)
    const all = new Uint8Array(this.#headLength + tailLength)
    all.set(this.#head.subarray(0, this.#headLength))
    const oldest = this.omitted === 0 ? 0 : this.#behind % this.#tailBytes
    const first = this.#tail.subarray(oldest, tailLength)
    all.set(first, this.#headLength)
    all.set(this.#tail.subarray(0, oldest), this.#headLength + first.length)
    return all
  }

  #pushHead(data: Uint8Array): void {
    const length = this.#headLength + data.length
    if (length > this.#head.length) this.#head = grown(this.#head, length, this.#headBytes)
    this.#head.set(data, this.#headLength)
    this.#headLength = length
  }

  #pushTail(data: Uint8Array): void {
    const size = this.#tailBytes
    const length = Math.min(size, this.#behind + data.length)
    if (length > this.#tail.length) this.#tail = grown(this.#tail, length, size)
    const kept = data.subarray(Math.max(0, data.length - size))
    const at = size === 0 ? 0 : (this.#behind + data.length - kept.length) % size
    const toEnd = kept.subarray(0, size - at)
    this.#tail.set(toEnd, at)
    this.#tail.set(kept.subarray(toEnd.length))
    this.#behind += data.length
  }
}

/** With room for this many bytes and some more, up to a limit. */
function grown(bytes: Uint8Array, length: number, limit: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(limit, Math.max(length, bytes.length * 2, FIRST_CAPACITY)))
  larger.set(bytes)
  return larger
}
