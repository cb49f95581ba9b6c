import { CoveError } from '@cove/domain'
import { abortError, throwIfAborted } from './wait.ts'

/** Lets a bounded number in at a time; the rest wait in line, and the line is bounded too. */
export class Gate {
  readonly #waiting = new Set<() => void>()
  readonly #places: number
  readonly #line: number
  #inside = 0

  constructor(places: number, line = 10_000) {
    this.#places = places
    this.#line = line
  }

  async run<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    await this.#enter(signal)
    try {
      return await work()
    } finally {
      this.#leave()
    }
  }

  async #enter(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal)
    if (this.#inside < this.#places) {
      this.#inside++
      return
    }
    if (this.#waiting.size >= this.#line) {
      throw new CoveError('limit-reached', `${this.#line} calls wait in line already`, { limit: this.#line })
    }
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        this.#waiting.delete(enter)
        if (signal !== undefined) reject(abortError(signal))
      }
      this.#waiting.add(enter)
      signal?.addEventListener('abort', leave, { once: true })
    })
  }

  #leave(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#inside--
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
