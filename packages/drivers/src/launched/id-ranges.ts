import { CoveError } from '@cove/domain'

/** Ids in one machine: 0 to 65,535. */
export const RANGE_SIZE = 65_536
const LAST_ID = 0xffff_fffe

/** Which part of the ids from `first` on: drivers beside each other use different ones. */
export interface Share {
  /** From 0. */
  readonly index: number
  readonly of: number
}

/**
 * Hands out ranges of the host's user ids, so that no two machines share one. The lowest free one goes first: the
 * launcher keeps user namespaces of ranges that were used before.
 */
export class IdRanges {
  readonly #first: number
  readonly #count: number
  readonly #taken = new Set<number>()
  #lowest = 0

  constructor(first: number, share: Share = { index: 0, of: 1 }) {
    this.#count = Math.floor((LAST_ID - first) / RANGE_SIZE / share.of)
    this.#first = first + share.index * this.#count * RANGE_SIZE
  }

  take(): number {
    for (let slot = this.#lowest; slot < this.#count; slot++) {
      if (this.#taken.has(slot)) continue
      this.#taken.add(slot)
      this.#lowest = slot + 1
      return slot
    }
    throw new CoveError('no-capacity', 'every range of user ids is in use', { ranges: this.#count })
  }

  hold(slot: number): void {
    this.#taken.add(slot)
  }

  release(slot: number): void {
    this.#taken.delete(slot)
    this.#lowest = Math.min(this.#lowest, slot)
  }

  baseOf(slot: number): number {
    return this.#first + slot * RANGE_SIZE
  }

  /** The slot whose root owns a file on the host, if any. */
  slotOf(uid: number): number | undefined {
    const slot = (uid - this.#first) / RANGE_SIZE
    return Number.isInteger(slot) && slot >= 0 && slot < this.#count ? slot : undefined
  }
}
