import { expect, it } from 'vitest'
import { STORE_LIMITS, type KeyValue, type Store } from '@cove/domain'
import { expectCode, listing, put, remove, textOf, type WithStore } from './fixture.ts'

export function ranges(withStore: WithStore): void {
  it(
    'lists the keys under a prefix in the order of their bytes',
    withStore(async ({ store }) => {
      // By UTF-16 units the emoji would come before U+FF01; by bytes it comes after.
      const ordered = ['p', 'p/', 'p/a', 'p/a\0', 'p/aa', 'p/b', 'p/é', 'p/\uff01', 'p/\u{1f600}', 'p0']
      await store.txn(
        [],
        ordered.toReversed().map((key) => put(key, '')),
      )
      const keysOf = async (prefix: string) => (await store.range({ prefix })).items.map(({ key }) => key)
      expect(await keysOf('')).toEqual(ordered)
      expect(await keysOf('p/')).toEqual(ordered.slice(1, 9))
      expect(await keysOf('p/a')).toEqual(['p/a', 'p/a\0', 'p/aa'])
      expect(await keysOf('p/\uff01')).toEqual(['p/\uff01'])
      expect(await keysOf('q')).toEqual([])
    }),
  )

  it(
    'reads in pages, and says whether more follow',
    withStore(async ({ store }) => {
      await store.txn(
        [],
        ['a', 'b', 'c', 'd', 'e'].map((key) => put(`k/${key}`, key)),
      )
      const first = await store.range({ prefix: 'k/', limit: 2 })
      expect([first.items.map(({ key }) => key), first.more]).toEqual([['k/a', 'k/b'], true])
      const second = await store.range({ prefix: 'k/', limit: 3, after: 'k/b', revision: first.revision })
      expect([second.items.map(({ key }) => key), second.more]).toEqual([['k/c', 'k/d', 'k/e'], false])
      const whole = await store.range({ prefix: 'k/', limit: 5 })
      expect([whole.items.length, whole.more]).toEqual([5, false])
      const between = await store.range({ prefix: 'k/', after: 'k/bb', limit: 1 })
      expect(between.items.map(({ key }) => key)).toEqual(['k/c'])
      expect((await store.range({ prefix: 'k/', after: 'a' })).items).toHaveLength(5)
      expect((await store.range({ prefix: 'k/', after: 'z' })).items).toHaveLength(0)
    }),
  )

  it(
    'shows all pages of a walk as of one revision, whatever is written meanwhile',
    withStore(async ({ store }) => {
      const keys = Array.from({ length: 10 }, (_, i) => `k/${i}`)
      await store.txn(
        [],
        keys.map((key) => put(key, 'old')),
      )
      const page = await store.range({ prefix: 'k/', limit: 3 })
      await store.txn([], [remove('k/1'), remove('k/5'), put('k/6', 'new'), put('k/66', 'new')])
      await store.txn([], [put('k/5', 'again'), remove('k/7'), put('k/6', 'newer')])
      const seen = [...page.items]
      for (let more = page.more; more;) {
        const after = seen.at(-1)?.key ?? ''
        const next = await store.range({ prefix: 'k/', after, limit: 3, revision: page.revision })
        expect(next.revision).toBe(page.revision)
        seen.push(...next.items)
        more = next.more
      }
      expect(seen.map((item) => `${item.key}=${textOf(item)}`)).toEqual(keys.map((key) => `${key}=old`))
      expect(seen.map(({ createRevision, modRevision }) => [createRevision, modRevision])).toEqual(
        keys.map(() => [2, 2]),
      )
    }),
  )

  it(
    'reads any kept revision, with leases as they were',
    withStore(async ({ store }) => {
      const lease = await store.grantLease(60_000)
      await store.txn([], [put('a', '1', lease), put('b', '1')])
      await store.txn([], [put('a', '2')])
      await store.txn([], [remove('b'), put('c', '3')])
      expect(await listing(store, '', 1)).toEqual([])
      expect(await listing(store, '', 2)).toEqual(['a=1', 'b=1'])
      expect(await listing(store, '', 3)).toEqual(['a=2', 'b=1'])
      expect(await listing(store, '', 4)).toEqual(['a=2', 'c=3'])
      expect((await store.range({ prefix: 'a', revision: 2 })).items[0]?.lease).toBe(lease)
      expect((await store.range({ prefix: 'a', revision: 3 })).items[0]?.lease).toBeUndefined()
    }),
  )

  it(
    'forgets history when it is compacted, and keeps current values',
    withStore(async ({ store }) => {
      for (const value of ['1', '2', '3', '4']) await store.txn([], [put('a', value)])
      await store.compact(4)
      expect(await listing(store, '', 4)).toEqual(['a=3'])
      expect(await listing(store, '', 5)).toEqual(['a=4'])
      await expectCode(store.range({ prefix: '', revision: 3 }), 'store-compacted')
      // Twice, or further back, is no error and brings nothing back.
      await store.compact(4)
      await store.compact(2)
      await expectCode(store.range({ prefix: '', revision: 3 }), 'store-compacted')
      await store.compact(5)
      expect(await listing(store, '')).toEqual(['a=4'])
      expect(await store.revision()).toBe(5)
    }),
  )

  it(
    'ends a page early rather than answering with a mountain',
    withStore(async ({ store }) => {
      const count = 24
      const value = new Uint8Array(STORE_LIMITS.valueBytes)
      for (let i = 0; i < count; i++) {
        await store.txn([], [{ type: 'put', key: `big/${String(i).padStart(2, '0')}`, value }])
      }
      const { items, pages } = await walk(store, 'big/')
      expect(items).toHaveLength(count)
      expect(pages).toBeGreaterThan(1)
    }),
  )
}

async function walk(store: Store, prefix: string): Promise<{ items: KeyValue[]; pages: number }> {
  const items: KeyValue[] = []
  for (let pages = 1; ; pages++) {
    const after = items.at(-1)?.key
    const page = await store.range({ prefix, ...(after === undefined ? {} : { after }) })
    items.push(...page.items)
    if (!page.more) return { items, pages }
    expect(page.items.length).toBeGreaterThan(0)
  }
}
