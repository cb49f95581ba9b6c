import type { Store } from '@cove/domain'

/** One daemon's life: every step it takes outside of itself passes here, and at one of them it dies. */
export class Fuse {
  readonly steps: string[] = []
  readonly #diesAt: number
  #dead = false
  readonly #death = Promise.withResolvers<void>()

  /** Dies when this many steps have been taken; default: never by itself. */
  constructor(diesAt = Number.POSITIVE_INFINITY) {
    this.#diesAt = diesAt
  }

  get dead(): boolean {
    return this.#dead
  }

  /** Resolves when the daemon dies. */
  get death(): Promise<void> {
    return this.#death.promise
  }

  die(): void {
    this.#dead = true
    this.#death.resolve()
  }

  /** Never resolves in a dead daemon, as no code runs in one. */
  async step(name: string): Promise<void> {
    if (!this.#dead && this.steps.length >= this.#diesAt) this.die()
    if (this.#dead) return await new Promise<never>(() => {})
    this.steps.push(name)
  }

  /** A store whose writes are steps: the daemon may die before one, or after it and before its answer. */
  store(inner: Store): Store {
    const step = (name: string): Promise<void> => this.step(name)
    const around = async <T>(name: string, call: () => Promise<T>): Promise<T> => {
      await step(`${name} begins`)
      const result = await call()
      await step(`${name} is answered`)
      return result
    }
    return {
      get: (key) => around('store.get', () => inner.get(key)),
      range: (request) => around('store.range', () => inner.range(request)),
      txn: (compare, then) =>
        around(`store.txn ${then.map(({ type }) => type).join()}`, () => inner.txn(compare, then)),
      watch: (request) => inner.watch(request),
      revision: () => inner.revision(),
      grantLease: (ttlMs) => inner.grantLease(ttlMs),
      keepAlive: (lease) => inner.keepAlive(lease),
      revokeLease: (lease) => inner.revokeLease(lease),
      compact: (revision) => inner.compact(revision),
      close: () => inner.close(),
      [Symbol.asyncDispose]: () => inner.close(),
    }
  }
}
