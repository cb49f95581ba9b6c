import { CoveError } from '@cove/domain'

/** Counts the calls that are under way for each key, so that none can hold more than its share of the memory. */
export class UnderWay {
  readonly #most: number
  readonly #counts = new Map<string, number>()

  constructor(most: number) {
    this.#most = most
  }

  /** Answers with what is to be called once when the call is over; undefined when there are too many. */
  enter(key: string): (() => void) | undefined {
    const count = this.#counts.get(key) ?? 0
    if (count >= this.#most) return undefined
    this.#counts.set(key, count + 1)
    return () => {
      const left = (this.#counts.get(key) ?? 1) - 1
      if (left > 0) this.#counts.set(key, left)
      else this.#counts.delete(key)
    }
  }

  /** What whoever has too many is told. */
  refusal(): CoveError {
    const context = { retryAfterMs: 1_000, limit: this.#most }
    return new CoveError('rate-limited', `${this.#most} calls are under way already`, context, {
      fix: 'End streams that nobody reads, or wait until other calls have ended.',
    })
  }
}
