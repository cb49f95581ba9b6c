interface Due<Id> {
  readonly id: Id
  readonly at: number
}

/** What is due when, one time per id; the earliest is at hand. A binary heap whose outdated entries are skipped. */
export class DueHeap<Id> {
  readonly #heap: Due<Id>[] = []
  readonly #current = new Map<Id, number>()

  /** Replaces the time of this id. */
  set(id: Id, at: number): void {
    if (this.#current.get(id) === at) return
    this.#current.set(id, at)
    this.#push({ id, at })
    // Outdated entries leave when they are due; far-off ones must not pile up until then.
    if (this.#heap.length > 64 && this.#heap.length > 4 * this.#current.size) this.#rebuild()
  }

  delete(id: Id): void {
    this.#current.delete(id)
  }

  get size(): number {
    return this.#current.size
  }

  /** When the earliest is due. */
  next(): number | undefined {
    this.#skipOutdated()
    return this.#heap[0]?.at
  }

  /** Takes the earliest when it is due by then. */
  take(now: number): Id | undefined {
    this.#skipOutdated()
    const first = this.#heap[0]
    if (first === undefined || first.at > now) return undefined
    this.#pop()
    this.#current.delete(first.id)
    return first.id
  }

  #skipOutdated(): void {
    let first = this.#heap[0]
    while (first !== undefined && this.#current.get(first.id) !== first.at) {
      this.#pop()
      first = this.#heap[0]
    }
  }

  #rebuild(): void {
    this.#heap.length = 0
    for (const [id, at] of this.#current) this.#push({ id, at })
  }

  #push(due: Due<Id>): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(due)
    while (at > 0) {
      const parent = (at - 1) >>> 1
      const above = heap[parent]
      if (above === undefined || above.at <= due.at) break
      heap[at] = above
      at = parent
    }
    heap[at] = due
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      const right = left + 1
      const child = (heap[right]?.at ?? Infinity) < (heap[left]?.at ?? Infinity) ? right : left
      const below = heap[child]
      if (below === undefined || below.at >= last.at) break
      heap[at] = below
      at = child
    }
    heap[at] = last
  }
}
