import { expect, it } from 'vitest'
import type { Store } from '@cove/domain'
import type { HistoryLimit } from '../history-limit.ts'
import { expectCode, listing, put, watchFor } from './fixture.ts'

/** For stores that keep their history within limits of their own. */
export function boundedHistory(open: (limit: HistoryLimit) => Promise<Store & AsyncDisposable>): void {
  it('forgets the oldest revisions by itself, and keeps as many as it promised', async () => {
    await using store = await open({ revisions: 100, bytes: 1024 * 1024 })
    for (let i = 2; i <= 1000; i++) await store.txn([], [put('k', `${i}`)])
    await expectCode(store.range({ prefix: '', revision: 500 }), 'store-compacted')
    await expectCode(watchFor(store, '', 500, 1), 'store-compacted')
    expect(await listing(store, '', 901)).toEqual(['k=901'])
    expect(await watchFor(store, '', 902, 1)).toEqual(['902: put k=902'])
    expect(await listing(store, '')).toEqual(['k=1000'])
  })

  it('forgets by size as well', async () => {
    await using store = await open({ revisions: 100_000, bytes: 1024 * 1024 })
    const text = 'x'.repeat(100_000)
    for (let i = 2; i <= 50; i++) await store.txn([], [put('k', text)])
    await expectCode(store.range({ prefix: '', revision: 20 }), 'store-compacted')
    expect(await listing(store, '', 49)).toHaveLength(1)
    expect(await store.revision()).toBe(50)
  })
}
