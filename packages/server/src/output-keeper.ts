/** Keeps the head and the tail of a stream that may be endless, in bounded memory. */
export class OutputKeeper {
  readonly #headBytes: number
  readonly #tailBytes: number
  readonly #head: Uint8Array[] = []
  #headLength = 0
  #tail: Uint8Array[] = []
  #tailLength = 0
  #total = 0

  /** At most this many bytes are kept, half of them from each end. */
  constructor(maxBytes: number) {
    this.#headBytes = Math.ceil(maxBytes / 2)
    this.#tailBytes = maxBytes - this.#headBytes
  }

  /** Bytes left out between head and tail. */
  get omitted(): number {
    return this.#total - this.#headLength - Math.min(this.#tailLength, this.#tailBytes)
  }

  push(data: Uint8Array): void {
    this.#total += data.length
    const room = this.#headBytes - this.#headLength
    if (room > 0) {
      const part = data.subarray(0, room)
      this.#head.push(part)
      this.#headLength += part.length
      if (data.length <= room) return
    }
    const rest = room > 0 ? data.subarray(room) : data
    this.#tail.push(rest)
    this.#tailLength += rest.length
    this.#trim()
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const surplus = Math.max(0, this.#tailLength - this.#tailBytes)
    const tail = joinChunks(this.#tail).subarray(surplus)
    return joinChunks([...this.#head, tail])
  }

  #trim(): void {
    let [first] = this.#tail
    while (first !== undefined && this.#tailLength - first.length >= this.#tailBytes) {
      this.#tail.shift()
      this.#tailLength -= first.length
      ;[first] = this.#tail
    }
    // Many tiny chunks would hold far more memory than their bytes.
    if (this.#tail.length > 1024) this.#tail = [joinChunks(this.#tail)]
  }
}

function joinChunks(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  const all = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.length
  }
  return all
}
