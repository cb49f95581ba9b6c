import { CoveError } from '@cove/domain'

/** Bytes that many requests hold at the same time, bounded all together. */
export class Room {
  readonly #most: number
  #held = 0

  constructor(most: number) {
    this.#most = most
  }

  /** Throws `busy` where there is no room for so many more. */
  take(bytes: number): void {
    if (this.#held + bytes > this.#most) {
      const fix = 'Try again shortly.'
      throw new CoveError('busy', 'too many large requests are being answered', {}, { fix })
    }
    this.#held += bytes
  }

  give(bytes: number): void {
    this.#held -= bytes
  }
}
