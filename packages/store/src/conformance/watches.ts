import { expect, it } from 'vitest'
import type { WatchBatch } from '@cove/domain'
import { expectCode, put, remove, show, watchFor, type WithStore } from './fixture.ts'

export function watches(withStore: WithStore): void {
  it(
    'tells everything from a revision on: first what was, then what comes, one batch per revision',
    withStore(async ({ store }) => {
      await store.txn([], [put('w/a', '1'), put('w/b', '1'), put('other', '1')])
      await store.txn([], [put('other', '2')])
      await store.txn([], [remove('w/a'), put('w/b', '2')])
      const told = watchFor(store, 'w/', 2, 4)
      await store.txn([], [put('w/c', '3')])
      await store.txn([{ key: 'w/c', absent: true }], [put('w/c', 'never')])
      await store.txn([], [put('other', '3')])
      await store.txn([], [remove('w/c'), put('w/b', '4'), remove('w/none')])
      expect(await told).toEqual([
        '2: put w/a=1, put w/b=1',
        '4: delete w/a, put w/b=2',
        '5: put w/c=3',
        '7: put w/b=4, delete w/c',
      ])
    }),
  )

  it(
    'gives each change with its revisions and its lease',
    withStore(async ({ store }) => {
      const lease = await store.grantLease(60_000)
      await store.txn([], [put('a', '1', lease)])
      await store.txn([], [put('a', '2')])
      const abort = new AbortController()
      const seen: unknown[] = []
      for await (const { changes } of store.watch({ prefix: 'a', fromRevision: 2, signal: abort.signal })) {
        const [change] = changes
        if (change?.type !== 'put') throw new Error('a put was expected')
        const { createRevision, modRevision, lease: held } = change.item
        seen.push([createRevision, modRevision, held])
        if (seen.length === 2) await store.txn([], [put('a', '3', lease)])
        if (seen.length === 3) break
      }
      expect(seen).toEqual([
        [2, 2, lease],
        [2, 3, undefined],
        [2, 4, lease],
      ])
    }),
  )

  it(
    'misses nothing and repeats nothing while others write as fast as they can',
    withStore(async ({ store }) => {
      const writes = 600
      const watchers = Array.from({ length: 8 }, (_, i) =>
        watchFor(store, '', 1 + i * 20, writes - Math.max(0, i * 20 - 1)),
      )
      const pending: Promise<unknown>[] = []
      for (let i = 0; i < writes; i++) {
        pending.push(store.txn([], [put(`k/${i % 7}`, `${i}`)]))
        if (i % 50 === 0) await pending.at(-1)
      }
      await Promise.all(pending)
      const expected = Array.from({ length: writes }, (_, i) => `${i + 2}: put k/${i % 7}=${i}`)
      for (const [i, told] of (await Promise.all(watchers)).entries()) {
        expect(told).toEqual(expected.slice(Math.max(0, i * 20 - 1)))
      }
    }),
  )

  it(
    'waits for a revision that lies in the future',
    withStore(async ({ store }) => {
      const far = watchFor(store, '', Number.MAX_SAFE_INTEGER, 1)
      far.catch(() => {})
      const told = watchFor(store, '', 4, 1)
      for (const value of ['1', '2', '3']) await store.txn([], [put('a', value)])
      expect(await told).toEqual(['4: put a=3'])
    }),
  )

  it(
    'lets a reader be slow, and still tells everything in order',
    withStore(async ({ store }) => {
      const abort = new AbortController()
      const batches = store.watch({ prefix: 'k', fromRevision: 2, signal: abort.signal })[Symbol.asyncIterator]()
      await store.txn([], [put('k', '0')])
      const told = [showNext(await batches.next())]
      const writes = 1000
      await Promise.all(Array.from({ length: writes }, (_, i) => store.txn([], [put('k', `${i + 1}`)])))
      while (told.length <= writes) told.push(showNext(await batches.next()))
      expect(told).toEqual(Array.from({ length: writes + 1 }, (_, i) => `${i + 2}: put k=${i}`))
      await batches.return?.()
    }),
  )

  it(
    'serves a hundred watchers',
    withStore(async ({ store }) => {
      const told = Array.from({ length: 100 }, (_, i) => watchFor(store, `k/${i}/`, 1, 1))
      await store.txn(
        [],
        Array.from({ length: 100 }, (_, i) => put(`k/${i}/x`, `${i}`)),
      )
      expect(await Promise.all(told)).toEqual(Array.from({ length: 100 }, (_, i) => [`2: put k/${i}/x=${i}`]))
    }),
  )

  it(
    'says when the revision is no longer kept',
    withStore(async ({ store }) => {
      for (const value of ['1', '2', '3']) await store.txn([], [put('a', value)])
      await store.compact(3)
      await expectCode(watchFor(store, '', 2, 1), 'store-compacted')
      await expectCode(watchFor(store, '', 3, 1), 'store-compacted')
      expect(await watchFor(store, '', 4, 1)).toEqual(['4: put a=3'])
    }),
  )

  it(
    'ends without an error when its signal aborts, before and while it waits',
    withStore(async ({ store }) => {
      const abort = new AbortController()
      const told: string[] = []
      const watching = (async () => {
        for await (const batch of store.watch({ prefix: '', fromRevision: 1, signal: abort.signal })) {
          told.push(show(batch))
          abort.abort()
        }
      })()
      await store.txn([], [put('a', '1')])
      await watching
      expect(told).toEqual(['2: put a=1'])

      const waiting = new AbortController()
      const next = store.watch({ prefix: 'b', fromRevision: 1, signal: waiting.signal })[Symbol.asyncIterator]().next()
      await store.revision()
      waiting.abort()
      expect((await next).done).toBe(true)

      const late = store.watch({ prefix: '', fromRevision: 1, signal: abort.signal })[Symbol.asyncIterator]()
      expect((await late.next()).done).toBe(true)
    }),
  )
}

function showNext(result: IteratorResult<WatchBatch>): string {
  if (result.done === true) throw new Error('the watch ended early')
  return show(result.value)
}
