/** One thing after the other for each key. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#last.get(key) ?? Promise.resolve()).then(work)
    const settled = result.catch(() => undefined)
    this.#last.set(key, settled)
    void settled.finally(() => {
      if (this.#last.get(key) === settled) this.#last.delete(key)
    })
    return result
  }
}
