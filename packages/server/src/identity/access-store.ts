import {
  STORE_LIMITS,
  type Clock,
  type Compare,
  type LeaseId,
  type Log,
  type Op,
  type Store,
  type WatchBatch,
} from '@cove/domain'
import { followStore } from '../follow-store.ts'
import { changesOf, readStore } from '../read-store.ts'
import type { AccessView } from './access-view.ts'
import { ACCESS_PREFIX } from './records.ts'

/** Every write to the records of identity goes through here: transaction first, then the view. */
export class AccessStore {
  readonly view: AccessView
  readonly #store: Store
  readonly #clock: Clock
  readonly #log: Log

  constructor(store: Store, view: AccessView, clock: Clock, log: Log) {
    this.#store = store
    this.view = view
    this.#clock = clock
    this.#log = log
  }

  /** False when a compare failed; nothing has happened then. */
  async commit(compare: readonly Compare[], ops: readonly Op[]): Promise<boolean> {
    const { ok, revision } = await this.#store.txn(compare, ops)
    if (ok) this.view.apply(changesOf(ops, revision), revision)
    return ok
  }

  /** Removes keys, many at once; what is gone already is no error. */
  async remove(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += STORE_LIMITS.txnOps) {
      const batch = keys.slice(at, at + STORE_LIMITS.txnOps)
      await this.commit(
        [],
        batch.map((key) => ({ type: 'delete', key })),
      )
    }
  }

  lease(ttlMs: number): Promise<LeaseId> {
    return this.#store.grantLease(ttlMs)
  }

  /** Ends a lease that nothing needs any more. */
  release(lease: LeaseId): Promise<void> {
    return this.#store.revokeLease(lease)
  }

  /** True when there is a key with this prefix. */
  async hasAny(prefix: string): Promise<boolean> {
    return (await this.#store.range({ prefix, limit: 1 })).items.length > 0
  }

  /** Reads one record anew; for what another server may have written a moment ago. */
  async refresh(key: string): Promise<void> {
    // Before the record: whatever is made in between is newer than what this look can take away.
    const revision = await this.#store.revision()
    const item = await this.#store.get(key)
    if (item === undefined) this.view.apply([{ type: 'delete', key }], revision)
    else this.view.apply([{ type: 'put', item }], item.modRevision)
  }

  /** Loads everything; returns the revision to watch from. */
  async load(): Promise<number> {
    const { items, revision } = await readStore(this.#store, ACCESS_PREFIX)
    this.view.reset(items, revision)
    return revision
  }

  /** Follows what other servers write, until the signal aborts. */
  follow(loaded: number, signal: AbortSignal): Promise<void> {
    const followed = {
      store: this.#store,
      clock: this.#clock,
      log: this.#log,
      prefix: ACCESS_PREFIX,
      what: 'keys and projects',
      apply: ({ changes, revision }: WatchBatch) => this.view.apply(changes, revision),
      load: () => this.load(),
    }
    return followStore(followed, loaded, signal)
  }
}
