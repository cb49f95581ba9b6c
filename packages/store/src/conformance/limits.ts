import { expect, it } from 'vitest'
import { STORE_LIMITS, type Compare, type Op, type RangeRequest } from '@cove/domain'
import { expectCode, put, remove, stateOf, watchFor, type WithStore } from './fixture.ts'

const longest = 'k'.repeat(STORE_LIMITS.keyBytes)
const tooLong = 'é'.repeat(STORE_LIMITS.keyBytes / 2 + 1)
const badKeys = ['', `${longest}k`, tooLong, 'half a pair \ud800']

export function limits(withStore: WithStore): void {
  it(
    'takes what lies exactly on its limits',
    withStore(async ({ store }) => {
      const value = new Uint8Array(STORE_LIMITS.valueBytes).fill(7)
      await store.txn([{ key: longest, absent: true }], [{ type: 'put', key: longest, value }])
      expect((await store.get(longest))?.value).toHaveLength(STORE_LIMITS.valueBytes)
      const ops = Array.from({ length: STORE_LIMITS.txnOps }, (_, i) => put(`k/${i}`, ''))
      const compare = Array.from({ length: STORE_LIMITS.txnOps }, (): Compare => ({ key: 'one', absent: true }))
      expect((await store.txn(compare, ops)).ok).toBe(true)
      const half = STORE_LIMITS.txnBytes / 2 - 1
      await store.txn(
        [],
        [
          { type: 'put', key: 'x', value: new Uint8Array(half) },
          { type: 'put', key: 'y', value: new Uint8Array(half) },
        ],
      )
      const page = await store.range({ prefix: '', limit: STORE_LIMITS.pageItems })
      expect(page.items).toHaveLength(STORE_LIMITS.txnOps + 3)
      await store.grantLease(STORE_LIMITS.leaseTtlMs)
    }),
  )

  const broken: readonly (readonly [string, readonly Compare[], readonly Op[]])[] = [
    ...badKeys.map((key, i) => [`bad key ${i} in a put`, [], [put(key, '')]] as const),
    ...badKeys.map((key, i) => [`bad key ${i} in a delete`, [], [remove(key)]] as const),
    ...badKeys.map((key, i) => [`bad key ${i} in a compare`, [{ key, absent: true }], []] as const),
    ['a key named twice', [], [put('a', '1'), put('a', '2')]],
    ['a key put and deleted', [], [put('a', '1'), remove('a')]],
    ['too many operations', [], Array.from({ length: STORE_LIMITS.txnOps + 1 }, (_, i) => put(`k/${i}`, ''))],
    [
      'too many compares',
      Array.from({ length: STORE_LIMITS.txnOps + 1 }, (_, i): Compare => ({ key: `k/${i}`, absent: true })),
      [],
    ],
    ['a value that is too large', [], [{ type: 'put', key: 'a', value: new Uint8Array(STORE_LIMITS.valueBytes + 1) }]],
    [
      'values that are too large together',
      [],
      ['a', 'b'].map((key): Op => ({ type: 'put', key, value: new Uint8Array(STORE_LIMITS.txnBytes / 2) })),
    ],
    ['a negative revision', [{ key: 'a', modRevision: -1 }], []],
    ['half a revision', [{ key: 'a', modRevision: 1.5 }], []],
  ]
  it(
    'refuses bad transactions and changes nothing',
    withStore(async ({ store }) => {
      await store.txn([], [put('before', '1')])
      const before = await stateOf(store)
      for (const [what, compare, ops] of broken) {
        // The good part of a bad transaction does not happen either.
        const good = ops.length < STORE_LIMITS.txnOps ? [put('good', '1')] : []
        const refusal = await store.txn(compare, [...good, ...ops]).catch((error: unknown) => error)
        expect({ what, refusal }).toMatchObject({
          what,
          refusal: { code: 'invalid-argument', context: { field: expect.any(String) } },
        })
      }
      expect(await stateOf(store)).toEqual(before)
    }),
  )

  it(
    'refuses bad reads',
    withStore(async ({ store }) => {
      await store.txn([], [put('a', '1')])
      for (const key of badKeys) await expectCode(store.get(key), 'invalid-argument')
      const ranges: RangeRequest[] = [
        ...badKeys.slice(1).flatMap((text) => [{ prefix: text }, { prefix: '', after: text }]),
        ...[0, -1, 1.5, Number.NaN, STORE_LIMITS.pageItems + 1].map((limit) => ({ prefix: '', limit })),
        ...[0, -1, 1.5, Number.NaN, 3].map((revision) => ({ prefix: '', revision })),
      ]
      for (const range of ranges) await expectCode(store.range(range), 'invalid-argument')
      for (const revision of [0, -1, 1.5, Number.NaN]) {
        await expectCode(watchFor(store, '', revision, 1), 'invalid-argument')
      }
      for (const prefix of badKeys.slice(1)) await expectCode(watchFor(store, prefix, 1, 1), 'invalid-argument')
      for (const revision of [0, -1, 1.5, Number.NaN, 3]) await expectCode(store.compact(revision), 'invalid-argument')
      for (const ttl of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, STORE_LIMITS.leaseTtlMs + 1]) {
        await expectCode(store.grantLease(ttl), 'invalid-argument')
      }
      expect((await stateOf(store)).revision).toBe(2)
    }),
  )
}
