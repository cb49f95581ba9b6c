import { expect, it } from 'vitest'
import { expectCode, listing, put, remove, stateOf, watchFor, type StoreFixture, type WithStore } from './fixture.ts'

export function endings(withStore: WithStore): void {
  it(
    'answers everything that it accepted before it closes, and nothing after',
    withStore(async ({ store }) => {
      const pending = Array.from({ length: 100 }, (_, i) => store.txn([], [put(`k/${i}`, '')]))
      const closed = store.close()
      expect(await Promise.all(pending)).toHaveLength(100)
      await closed
      await store.close()
      await expectCode(store.txn([], [put('late', '')]), 'store-closed')
      await expectCode(store.get('k/1'), 'store-closed')
      await expectCode(store.range({ prefix: '' }), 'store-closed')
      await expectCode(store.revision(), 'store-closed')
      await expectCode(store.grantLease(1000), 'store-closed')
      await expectCode(store.keepAlive('x'), 'store-closed')
      await expectCode(store.revokeLease('x'), 'store-closed')
      await expectCode(store.compact(1), 'store-closed')
      await expectCode(watchFor(store, '', 1, 1), 'store-closed')
    }),
  )

  it(
    'ends the watches that wait when it closes',
    withStore(async ({ store }) => {
      const told = watchFor(store, '', 1, 2)
      await store.txn([], [put('a', '1')])
      const [result] = await Promise.allSettled([told, store.close()])
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'store-closed' } })
    }),
  )

  it(
    'has everything again after it was closed and opened',
    withReopen(withStore, async ({ store, advance }, reopen) => {
      const lease = await store.grantLease(10_000)
      const short = await store.grantLease(3_000)
      await store.txn([], [put('a', '1'), put('b', '1', lease), put('c', '1', short)])
      await store.txn([], [put('a', '2'), remove('none')])
      await store.txn([], [remove('a'), put('d', '1')])
      await store.compact(2)
      const before = await stateOf(store)
      await advance(2_500)
      const again = await reopen()
      expect(await stateOf(again)).toEqual(before)
      expect(await listing(again, '', 3)).toEqual(['a=2', 'b=1', 'c=1'])
      await expectCode(again.range({ prefix: '', revision: 1 }), 'store-compacted')
      expect(await watchFor(again, '', 3, 2)).toEqual(['3: put a=2', '4: delete a, put d=1'])
      // Every lease has its full time again.
      const told = watchFor(again, '', 5, 1)
      await advance(2_500)
      await again.keepAlive(short)
      await advance(3_000)
      expect(await told).toEqual(['5: delete c'])
      await again.keepAlive(lease)
      expect((await again.txn([{ key: 'b', modRevision: 2 }], [put('b', '2')])).revision).toBe(6)
    }),
  )
}

function withReopen(
  withStore: WithStore,
  story: (fixture: StoreFixture, reopen: NonNullable<StoreFixture['reopen']>) => Promise<void>,
): () => Promise<void> {
  return withStore(async (fixture) => {
    if (fixture.reopen !== undefined) await story(fixture, fixture.reopen)
  })
}
