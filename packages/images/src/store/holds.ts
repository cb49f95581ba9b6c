/** Keeps one thing from being removed until it is disposed; more than once is once. */
export interface Hold extends Disposable {
  again(): Hold
}

/** Who needs what at this moment: counts that are gone with the process. */
export class Holds<Key> {
  readonly #counts = new Map<Key, number>()

  take(key: Key): Hold {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    let held = true
    return {
      again: () => this.take(key),
      [Symbol.dispose]: () => {
        if (!held) return
        held = false
        const left = (this.#counts.get(key) ?? 0) - 1
        if (left > 0) this.#counts.set(key, left)
        else this.#counts.delete(key)
      },
    }
  }

  has(key: Key): boolean {
    return this.#counts.has(key)
  }
}
