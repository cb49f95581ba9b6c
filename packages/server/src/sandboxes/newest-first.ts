import type { SandboxId } from '@cove/domain'

interface Place {
  readonly createdAt: number
  readonly id: string
}

/** Ids in the order of creation, kept sorted so that pages stay stable while others come and go. */
export class NewestFirst {
  /** Oldest first, because almost every new one is added at the end. */
  readonly #places: { readonly createdAt: number; readonly id: SandboxId }[] = []

  add(createdAt: number, id: SandboxId): void {
    this.#places.splice(this.#search({ createdAt, id }), 0, { createdAt, id })
  }

  remove(createdAt: number, id: SandboxId): void {
    const at = this.#search({ createdAt, id })
    if (this.#places[at]?.id === id) this.#places.splice(at, 1)
  }

  /** From the newest on, or from the next older than `after`, which itself need not be there any more. */
  *walk(after?: Place): Generator<SandboxId> {
    const start = after === undefined ? this.#places.length : this.#search(after)
    for (let at = start - 1; at >= 0; at--) {
      const place = this.#places[at]
      if (place !== undefined) yield place.id
    }
  }

  /** The first index whose place is not before `place`. */
  #search(place: Place): number {
    let low = 0
    let high = this.#places.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.#places[middle]
      if (other !== undefined && isBefore(other, place)) low = middle + 1
      else high = middle
    }
    return low
  }
}

function isBefore(a: Place, b: Place): boolean {
  return a.createdAt === b.createdAt ? a.id < b.id : a.createdAt < b.createdAt
}
