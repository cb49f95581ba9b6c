import { expect, test } from 'vitest'
import {
  CoveError,
  silentLog,
  type Clock,
  type RangePage,
  type RangeRequest,
  type WatchBatch,
  type WatchRequest,
} from '@cove/domain'
import { systemClock } from '@cove/domain/system'
import { MemoryStore } from '@cove/store'
import { AccessStore } from './access-store.ts'
import { AccessView } from './access-view.ts'
import { Expiries } from './expiries.ts'
import { encodeAccess, projectKey } from './records.ts'

const clock: Clock = { ...systemClock, sleep: () => Promise.resolve() }

/** Has forgotten what was to be watched, and cannot be read a few times after that. */
class ForgetfulStore extends MemoryStore {
  #watched = 0
  #away = 3

  override watch(request: WatchRequest): AsyncIterable<WatchBatch> {
    if (this.#watched++ === 0) throw new CoveError('store-compacted', 'that is forgotten')
    return super.watch(request)
  }

  override range(request: RangeRequest): Promise<RangePage> {
    if (this.#watched === 1 && this.#away-- > 0) throw new CoveError('store-closed', 'not now')
    return super.range(request)
  }
}

test('what others write is followed, although the store forgot it and was away when it was read anew', async () => {
  const store = new ForgetfulStore({ clock: systemClock })
  const view = new AccessView(clock, new Expiries(clock))
  const records = new AccessStore(store, view, clock, silentLog)
  const ending = new AbortController()
  const loaded = await records.load()
  const write = (name: string) => {
    const value = encodeAccess({ id: name, name, description: '', createdAt: 1 })
    return store.txn([], [{ type: 'put', key: projectKey(name), value }])
  }
  await write('missed')
  const following = records.follow(loaded, ending.signal)
  await expect.poll(() => view.project('missed')?.record.name).toBe('missed')
  await write('seen')
  await expect.poll(() => view.project('seen')?.record.name).toBe('seen')
  ending.abort()
  await following
})
