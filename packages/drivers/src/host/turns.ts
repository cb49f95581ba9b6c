/** One piece of work at a time for each name, in the order in which they came. */
export class Turns<K> {
  readonly #last = new Map<K, Promise<unknown>>()

  async take<T>(name: K, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name)
    const mine = before === undefined ? work() : before.then(work, work)
    this.#last.set(name, mine)
    try {
      return await mine
    } finally {
      if (this.#last.get(name) === mine) this.#last.delete(name)
    }
  }
}
