/** One page of a listing. */
export interface Page<T> {
  /** In the order of the listing. */
  readonly items: readonly T[]
  /** Empty on the last page. */
  readonly next: string
}

/** A listing, read page by page as far as its reader goes. */
export class Pages<T> implements AsyncIterable<T> {
  readonly #fetch: (token: string) => Promise<Page<T>>

  constructor(fetch: (token: string) => Promise<Page<T>>) {
    this.#fetch = fetch
  }

  /** Whole pages, from the one that `token` names. */
  async *pages(token = ''): AsyncGenerator<Page<T>> {
    for (let next = token; ;) {
      const page = await this.#fetch(next)
      yield page
      if (page.next === '') return
      next = page.next
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for await (const page of this.pages()) yield* page.items
  }

  /** Everything at once, for listings that are known to be short. */
  async all(): Promise<T[]> {
    const all: T[] = []
    for await (const item of this) all.push(item)
    return all
  }
}
