import { expect, it } from 'vitest'
import { expectCode, listing, put, remove, watchFor, type WithStore } from './fixture.ts'

const SECOND = 1000

export function leases(withStore: WithStore): void {
  it(
    'takes the keys of a lease away when its time is over, as one ordinary revision',
    withStore(async ({ store, advance }) => {
      const lease = await store.grantLease(10 * SECOND)
      const other = await store.grantLease(60 * SECOND)
      await store.txn([], [put('a', '1', lease), put('b', '1', lease), put('c', '1', other), put('d', '1')])
      const told = watchFor(store, '', 3, 1)
      await advance(9 * SECOND)
      expect(await listing(store, '')).toHaveLength(4)
      await advance(SECOND)
      expect(await told).toEqual(['3: delete a, delete b'])
      expect(await listing(store, '')).toEqual(['c=1', 'd=1'])
      expect(await store.revision()).toBe(3)
      await expectCode(store.keepAlive(lease), 'lease-not-found')
      await expectCode(store.txn([], [put('a', '2', lease)]), 'lease-not-found')
      await store.keepAlive(other)
    }),
  )

  it(
    'grants the full time again with each keep-alive, which is no revision',
    withStore(async ({ store, advance }) => {
      const lease = await store.grantLease(10 * SECOND)
      await store.txn([], [put('a', '1', lease)])
      for (let i = 0; i < 5; i++) {
        await advance(6 * SECOND)
        await store.keepAlive(lease)
      }
      expect(await store.revision()).toBe(2)
      const told = watchFor(store, '', 3, 1)
      await advance(10 * SECOND)
      expect(await told).toEqual(['3: delete a'])
    }),
  )

  it(
    'leaves alone what was deleted, written without the lease, or given to another',
    withStore(async ({ store }) => {
      const [first, second] = [await store.grantLease(60 * SECOND), await store.grantLease(60 * SECOND)]
      await store.txn(
        [],
        ['deleted', 'freed', 'given', 'held'].map((key) => put(key, '1', first)),
      )
      await store.txn([], [remove('deleted'), put('freed', '2'), put('given', '2', second)])
      await store.txn([], [put('deleted', '2')])
      await store.revokeLease(first)
      expect(await listing(store, '')).toEqual(['deleted=2', 'freed=2', 'given=2'])
      await store.revokeLease(second)
      expect(await listing(store, '')).toEqual(['deleted=2', 'freed=2'])
    }),
  )

  it(
    'ends a lease at once when it is revoked, once',
    withStore(async ({ store, advance }) => {
      const lease = await store.grantLease(10 * SECOND)
      await store.txn([], [put('a', '1', lease)])
      await store.revokeLease(lease)
      expect(await store.get('a')).toBeUndefined()
      expect(await store.revision()).toBe(3)
      await store.revokeLease(lease)
      await store.revokeLease('never')
      await expectCode(store.keepAlive(lease), 'lease-not-found')
      await expectCode(store.keepAlive('never'), 'lease-not-found')
      // A lease without keys ends without a revision.
      await store.grantLease(SECOND)
      await advance(2 * SECOND)
      expect(await store.revision()).toBe(3)
    }),
  )

  it(
    'ends one lease with more keys than a transaction may name',
    withStore(async ({ store }) => {
      const lease = await store.grantLease(60 * SECOND)
      for (let i = 0; i < 3; i++) {
        await store.txn(
          [],
          Array.from({ length: 100 }, (_, j) => put(`k/${i}/${j}`, '', lease)),
        )
      }
      await store.revokeLease(lease)
      expect(await listing(store, '')).toEqual([])
      expect(await store.revision()).toBe(5)
    }),
  )
}
