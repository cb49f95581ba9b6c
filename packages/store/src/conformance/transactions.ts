import { expect, it } from 'vitest'
import { expectCode, listing, put, remove, stateOf, textOf, type WithStore } from './fixture.ts'

export function transactions(withStore: WithStore): void {
  it(
    'keeps what is put, with the revisions that made and changed it',
    withStore(async ({ store }) => {
      expect(await store.revision()).toBe(1)
      expect(await store.get('a')).toBeUndefined()
      expect(await store.txn([], [put('a', 'one'), put('b', 'two')])).toEqual({ ok: true, revision: 2 })
      expect(await store.txn([], [put('a', 'uno')])).toEqual({ ok: true, revision: 3 })
      const a = await store.get('a')
      expect([textOf(a), a?.createRevision, a?.modRevision, a?.lease]).toEqual(['uno', 2, 3, undefined])
      expect((await store.get('b'))?.modRevision).toBe(2)
    }),
  )

  it(
    'starts a key anew after it was deleted',
    withStore(async ({ store }) => {
      await store.txn([], [put('a', 'one')])
      expect(await store.txn([], [remove('a')])).toEqual({ ok: true, revision: 3 })
      expect(await store.get('a')).toBeUndefined()
      await store.txn([], [put('a', 'again')])
      expect((await store.get('a'))?.createRevision).toBe(4)
    }),
  )

  it(
    'raises the revision only when something changes',
    withStore(async ({ store }) => {
      await store.txn([], [put('a', 'one')])
      expect(await store.txn([], [])).toEqual({ ok: true, revision: 2 })
      expect(await store.txn([], [remove('nothing')])).toEqual({ ok: true, revision: 2 })
      expect(await store.txn([{ key: 'a', absent: true }], [put('a', 'x')])).toEqual({ ok: false, revision: 2 })
      // The same value again is a change: somebody wrote.
      expect(await store.txn([], [put('a', 'one'), remove('nothing')])).toEqual({ ok: true, revision: 3 })
      expect(await store.revision()).toBe(3)
    }),
  )

  it(
    'does all of a transaction when every compare holds, and nothing of it otherwise',
    withStore(async ({ store }) => {
      await store.txn([], [put('a', '1'), put('b', '2')])
      const holds = [
        { key: 'a', exists: true as const },
        { key: 'b', modRevision: 2 },
        { key: 'c', absent: true as const },
        { key: 'd', modRevision: 0 },
      ]
      expect((await store.txn(holds, [put('a', '3'), remove('b'), put('c', '4')])).ok).toBe(true)
      const before = await stateOf(store)
      for (const broken of [
        { key: 'a', absent: true as const },
        { key: 'a', modRevision: 2 },
        { key: 'a', modRevision: 0 },
        { key: 'b', exists: true as const },
        { key: 'b', modRevision: 2 },
      ]) {
        expect(await store.txn([{ key: 'c', exists: true }, broken], [put('a', 'x'), remove('c')])).toEqual({
          ok: false,
          revision: 3,
        })
      }
      expect(await stateOf(store)).toEqual(before)
      expect(await listing(store, '')).toEqual(['a=3', 'c=4'])
    }),
  )

  it(
    'lets exactly one of many win a race for a key',
    withStore(async ({ store }) => {
      const results = await Promise.all(
        Array.from({ length: 50 }, (_, i) => store.txn([{ key: 'lock', absent: true }], [put('lock', `${i}`)])),
      )
      expect(results.filter(({ ok }) => ok)).toHaveLength(1)
      expect(await store.revision()).toBe(2)
    }),
  )

  it(
    'counts no increment twice when many write at once',
    withStore(async ({ store }) => {
      const increment = async () => {
        for (;;) {
          const item = await store.get('count')
          const next = put('count', `${Number(textOf(item) ?? '0') + 1}`)
          if ((await store.txn([{ key: 'count', modRevision: item?.modRevision ?? 0 }], [next])).ok) return
        }
      }
      await Promise.all(Array.from({ length: 20 }, increment))
      expect(textOf(await store.get('count'))).toBe('20')
    }),
  )

  it(
    'gives pipelined transactions revisions in their order',
    withStore(async ({ store }) => {
      const results = await Promise.all(Array.from({ length: 300 }, (_, i) => store.txn([], [put('k', `${i}`)])))
      expect(results.map(({ revision }) => revision)).toEqual(Array.from({ length: 300 }, (_, i) => i + 2))
      expect(textOf(await store.get('k'))).toBe('299')
    }),
  )

  it(
    'keeps bytes exactly, whatever they are, and its own copy of them',
    withStore(async ({ store }) => {
      const all = Uint8Array.from({ length: 256 }, (_, i) => i)
      const mine = Uint8Array.from(all)
      const written = store.txn(
        [],
        [
          { type: 'put', key: 'bytes', value: mine },
          { type: 'put', key: 'none', value: new Uint8Array() },
        ],
      )
      mine.fill(0)
      await written
      expect(Uint8Array.from((await store.get('bytes'))?.value ?? [])).toEqual(all)
      expect((await store.get('none'))?.value.byteLength).toBe(0)
      // A view into the middle of a larger buffer is only that part.
      await store.txn([], [{ type: 'put', key: 'view', value: all.subarray(10, 13) }])
      expect(Uint8Array.from((await store.get('view'))?.value ?? [])).toEqual(Uint8Array.of(10, 11, 12))
    }),
  )

  it(
    'tells keys apart by their bytes',
    withStore(async ({ store }) => {
      const keys = ['a', 'a\0', 'a\0b', 'A', 'ä', 'a\u0308', '\u{1f600}', '\uffee', ' ', 'a/b', '%', '_', "'"]
      await store.txn(
        [],
        keys.map((key) => put(key, key)),
      )
      for (const key of keys) expect(textOf(await store.get(key))).toBe(key)
      await store.txn([], [remove('a')])
      expect(textOf(await store.get('a\0'))).toBe('a\0')
    }),
  )

  it(
    'refuses a lease that never was, and changes nothing',
    withStore(async ({ store }) => {
      await expectCode(store.txn([], [put('a', '1'), put('b', '2', 'never')]), 'lease-not-found')
      expect(await stateOf(store)).toEqual({ revision: 1, items: [] })
      // A transaction that would not happen anyway does not look at its leases.
      expect((await store.txn([{ key: 'a', exists: true }], [put('b', '2', 'never')])).ok).toBe(false)
    }),
  )
}
