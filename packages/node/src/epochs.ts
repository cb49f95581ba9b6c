import { CoveError } from '@cove/domain'

/** Sessions that one daemon may open, all machines together, before it needs a restart. */
const PER_GENERATION = 2 ** 26

/**
 * Session epochs, strictly rising over restarts of the daemon with no write per session: the daemon's
 * generation in the high bits, a counter in the low ones. Both fit a safe integer for 134 million restarts.
 */
export class Epochs {
  readonly #first: number
  #used = 0

  constructor(generation: number) {
    this.#first = generation * PER_GENERATION
  }

  next(): number {
    if (this.#used >= PER_GENERATION) {
      throw new CoveError(
        'limit-reached',
        'this daemon has opened more guest sessions than it can number',
        {},
        {
          fix: 'Restart Cove; running sandboxes are kept.',
        },
      )
    }
    return this.#first + this.#used++
  }
}
