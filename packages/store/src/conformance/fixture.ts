import { expect } from 'vitest'
import type { CoveError, ErrorCode, KeyValue, Op, Store, WatchBatch } from '@cove/domain'

/** One empty store, and what the suite may do around it. */
export interface StoreFixture {
  readonly store: Store
  /** Lets time pass for leases. */
  readonly advance: (ms: number) => Promise<void>
  /** Closes the store and opens it on the same data; absent where nothing outlives the store. */
  readonly reopen?: () => Promise<Store>
  readonly dispose: () => Promise<void>
}

export type StoreFactory = () => Promise<StoreFixture>

/** Runs a story on a store of its own. */
export type WithStore = (story: (fixture: StoreFixture) => Promise<void>) => () => Promise<void>

export function put(key: string, text: string, lease?: string): Op {
  const op = { type: 'put' as const, key, value: Buffer.from(text) }
  return lease === undefined ? op : { ...op, lease }
}

export function remove(key: string): Op {
  return { type: 'delete', key }
}

export function textOf(item: KeyValue | undefined): string | undefined {
  return item === undefined ? undefined : Buffer.from(item.value).toString()
}

/** `key=value` of everything under the prefix, in the order the store gives. */
export async function listing(store: Store, prefix: string, revision?: number): Promise<string[]> {
  const page = await store.range({ prefix, ...(revision === undefined ? {} : { revision }) })
  return page.items.map((item) => `${item.key}=${textOf(item)}`)
}

/** A batch as text: `7: put a=1, delete b`. */
export function show(batch: WatchBatch): string {
  const changes = batch.changes.map((change) =>
    change.type === 'put' ? `put ${change.item.key}=${textOf(change.item)}` : `delete ${change.key}`,
  )
  return `${batch.revision}: ${changes.join(', ')}`
}

/** The first `count` batches from this revision on, as text. */
export async function watchFor(store: Store, prefix: string, fromRevision: number, count: number): Promise<string[]> {
  const abort = new AbortController()
  const batches: string[] = []
  for await (const batch of store.watch({ prefix, fromRevision, signal: abort.signal })) {
    batches.push(show(batch))
    if (batches.length === count) break
  }
  return batches
}

export async function expectCode(action: Promise<unknown>, code: ErrorCode): Promise<void> {
  await expect(action).rejects.toSatisfy((error: CoveError) => error.code === code, `a CoveError with code ${code}`)
}

/** Two stores differ in nothing that a reader can see when this is equal. */
export async function stateOf(store: Store): Promise<{ revision: number; items: readonly KeyValue[] }> {
  const { items } = await store.range({ prefix: '' })
  return { revision: await store.revision(), items }
}
