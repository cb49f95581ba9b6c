import type { Line } from './line.ts'

/** Characters that wait for a reader before the process is made to wait. */
const MOST_WAITING = 1024 * 1024

/** One reader of lines: a queue between what comes and whoever iterates. */
export class LineReader implements AsyncIterableIterator<Line> {
  readonly #left: (reader: LineReader) => void
  #batches: (readonly Line[])[] = []
  #at = 0
  #waiting = 0
  #ended = false
  #wake: (() => void) | undefined
  #drained: (() => void) | undefined

  constructor(left: (reader: LineReader) => void) {
    this.#left = left
  }

  /** A promise when no more should come before it resolves. */
  push(lines: readonly Line[]): Promise<void> | undefined {
    if (this.#ended || lines.length === 0) return undefined
    this.#batches.push(lines)
    for (const line of lines) this.#waiting += line.text.length + 1
    this.#wake?.()
    if (this.#waiting < MOST_WAITING) return undefined
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#drained = resolve
    return promise
  }

  /** What is in the queue is still read. */
  end(): void {
    this.#ended = true
    this.#wake?.()
    this.#drained?.()
  }

  async next(): Promise<IteratorResult<Line, undefined>> {
    for (;;) {
      const line = this.#batches[0]?.[this.#at]
      if (line !== undefined) {
        this.#took(line)
        return { done: false, value: line }
      }
      if (this.#ended) return { done: true, value: undefined }
      const { promise, resolve } = Promise.withResolvers<void>()
      const before = this.#wake
      this.#wake = () => {
        before?.()
        resolve()
      }
      await promise
      this.#wake = undefined
    }
  }

  return(): Promise<IteratorResult<Line, undefined>> {
    this.#batches = []
    this.end()
    this.#left(this)
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #took(line: Line): void {
    this.#at += 1
    if (this.#at === this.#batches[0]?.length) {
      this.#batches.shift()
      this.#at = 0
    }
    this.#waiting -= line.text.length + 1
    if (this.#waiting < MOST_WAITING / 2) {
      this.#drained?.()
      this.#drained = undefined
    }
  }
}
