import { CoveError, type Compare, type KeyValue, type LeaseId, type Op, type Store } from '@cove/domain'
import type { Codec } from './json-codec.ts'

/** One record with what is needed to change it safely. */
export interface Entry<T> {
  readonly id: string
  readonly value: T
  readonly createRevision: number
  readonly modRevision: number
}

export type EntryChange<T> =
  | { readonly type: 'put'; readonly entry: Entry<T> }
  | { readonly type: 'delete'; readonly id: string }

export interface EntryBatch<T> {
  readonly revision: number
  readonly changes: readonly EntryChange<T>[]
}

/** Records of one kind under one prefix. `put`, `delete` and the compares are parts for `store.txn`. */
export interface Collection<T> {
  get(id: string): Promise<Entry<T> | undefined>
  /** Every record whose id starts with `idPrefix`, all at one revision, read page by page. */
  list(idPrefix?: string): AsyncIterable<Entry<T>>
  /** The same in one piece, with the revision to watch from (plus one). For collections that fit in memory. */
  all(idPrefix?: string): Promise<{ readonly entries: Entry<T>[]; readonly revision: number }>
  watch(request: { readonly fromRevision: number; readonly signal: AbortSignal }): AsyncIterable<EntryBatch<T>>
  put(id: string, value: T, lease?: LeaseId): Op
  delete(id: string): Op
  absent(id: string): Compare
  exists(id: string): Compare
  /** Holds while the record is still the one that was read. */
  unchanged(entry: Entry<T>): Compare
  /**
   * Reads, changes and writes back until nobody came between, at most 16 times, then `store-conflict`. `change` gets
   * `undefined` for a missing record and may be called more than once; the lease of the record is kept.
   */
  update(id: string, change: (value: T | undefined) => T): Promise<Entry<T>>
}

const UPDATE_ATTEMPTS = 16

/** `prefix` ends with a slash, so that no collection lies in another by accident. */
export function collection<T>(store: Store, prefix: string, codec: Codec<T>): Collection<T> {
  if (!prefix.endsWith('/'))
    throw new CoveError('invalid-argument', 'prefix must end with a slash', { field: 'prefix' })
  const keyOf = (id: string) => {
    if (id === '') throw new CoveError('invalid-argument', 'id is empty', { field: 'id' })
    return prefix + id
  }
  const entryOf = (item: KeyValue): Entry<T> => ({
    id: item.key.slice(prefix.length),
    value: decode(codec, item),
    createRevision: item.createRevision,
    modRevision: item.modRevision,
  })

  async function* pages(idPrefix: string) {
    let after: string | undefined
    let revision: number | undefined
    for (;;) {
      const page = await store.range({
        prefix: prefix + idPrefix,
        ...(after === undefined ? {} : { after }),
        ...(revision === undefined ? {} : { revision }),
      })
      yield page
      after = page.items.at(-1)?.key
      revision = page.revision
      if (!page.more) return
    }
  }

  const put = (id: string, value: T, lease?: LeaseId): Op => {
    const op = { type: 'put' as const, key: keyOf(id), value: codec.encode(value) }
    return lease === undefined ? op : { ...op, lease }
  }

  return {
    put,
    delete: (id) => ({ type: 'delete', key: keyOf(id) }),
    absent: (id) => ({ key: keyOf(id), absent: true }),
    exists: (id) => ({ key: keyOf(id), exists: true }),
    unchanged: (entry) => ({ key: keyOf(entry.id), modRevision: entry.modRevision }),

    async get(id) {
      const item = await store.get(keyOf(id))
      return item === undefined ? undefined : entryOf(item)
    },

    async *list(idPrefix = '') {
      for await (const page of pages(idPrefix)) yield* page.items.map(entryOf)
    },

    async all(idPrefix = '') {
      const entries: Entry<T>[] = []
      let revision = 0
      for await (const page of pages(idPrefix)) {
        for (const item of page.items) entries.push(entryOf(item))
        revision = page.revision
      }
      return { entries, revision }
    },

    async *watch(request) {
      for await (const { revision, changes } of store.watch({ prefix, ...request })) {
        yield {
          revision,
          changes: changes.map((change): EntryChange<T> =>
            change.type === 'put'
              ? { type: 'put', entry: entryOf(change.item) }
              : { type: 'delete', id: change.key.slice(prefix.length) },
          ),
        }
      }
    },

    async update(id, change) {
      const key = keyOf(id)
      for (let attempt = 0; attempt < UPDATE_ATTEMPTS; attempt++) {
        const item = await store.get(key)
        const value = change(item === undefined ? undefined : decode(codec, item))
        const result = await store.txn([{ key, modRevision: item?.modRevision ?? 0 }], [put(id, value, item?.lease)])
        if (result.ok) {
          return { id, value, createRevision: item?.createRevision ?? result.revision, modRevision: result.revision }
        }
      }
      throw new CoveError('store-conflict', `${key} was changed by others ${UPDATE_ATTEMPTS} times in a row`, { key })
    },
  }
}

function decode<T>(codec: Codec<T>, item: KeyValue): T {
  try {
    return codec.decode(item.value)
  } catch (error) {
    throw new CoveError(
      'store-corrupt',
      `the record ${item.key}: ${CoveError.from(error).message}`,
      { key: item.key },
      { cause: error },
    )
  }
}
