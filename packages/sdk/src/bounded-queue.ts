/**
 * Items between one writer and one reader, bounded by their sizes: the writer waits while the queue is full. Before a
 * reader has come, the oldest items make room instead, so that a queue nobody reads blocks nobody.
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #limit: number
  #items: { readonly item: T; readonly size: number }[] = []
  #size = 0
  #claimed = false
  #left = false
  #closed = false
  #error: Error | undefined
  #wakeReader: (() => void) | undefined
  #wakeWriter: (() => void) | undefined

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Undefined when there is room for more, else a promise for that moment. */
  push(item: T, size: number): Promise<void> | undefined {
    if (this.#closed || this.#left) return undefined
    this.#items.push({ item, size })
    this.#size += size
    this.#wakeReader?.()
    if (this.#size <= this.#limit) return undefined
    if (!this.#claimed) {
      while (this.#size > this.#limit && this.#items.length > 1) this.#size -= this.#items.shift()?.size ?? 0
      return undefined
    }
    return new Promise((resolve) => {
      this.#wakeWriter = resolve
    })
  }

  /** The reader gets what is there, then the end or the error. */
  close(error?: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#error = error
    this.#wakeReader?.()
    this.#wakeWriter?.()
  }

  claim(): this {
    this.#claimed = true
    return this
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    this.#claimed = true
    try {
      for (;;) {
        const first = this.#items.shift()
        if (first !== undefined) {
          this.#size -= first.size
          if (this.#size <= this.#limit) this.#wakeWriter?.()
          yield first.item
          continue
        }
        if (this.#error !== undefined) throw this.#error
        if (this.#closed) return
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve
        })
      }
    } finally {
      this.#left = true
      this.#items = []
      this.#size = 0
      this.#wakeWriter?.()
    }
  }
}
