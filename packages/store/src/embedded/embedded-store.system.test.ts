import { describe, expect, it } from 'vitest'
import { ManualClock } from '@cove/domain/manual-clock'
import { boundedHistory } from '../conformance/history.ts'
import { put } from '../conformance/fixture.ts'
import { storeConformance } from '../conformance/index.ts'
import { openEmbeddedStore } from './open-embedded-store.ts'
import { testFile } from '../../test/test-file.ts'

storeConformance('embedded', async () => {
  const place = await testFile()
  const clock = new ManualClock()
  let store = await openEmbeddedStore({ path: place.file, clock })
  return {
    store,
    advance: (ms) => clock.advance(ms),
    reopen: async () => {
      await store.close()
      store = await openEmbeddedStore({ path: place.file, clock })
      return store
    },
    dispose: async () => {
      await store.close()
      await place[Symbol.asyncDispose]()
    },
  }
})

describe('history in the file', () => {
  boundedHistory(async (historyLimit) => {
    const place = await testFile()
    const store = await openEmbeddedStore({ path: place.file, clock: new ManualClock(), historyLimit })
    const close = async () => {
      await store.close()
      await place[Symbol.asyncDispose]()
    }
    return Object.assign(store, { [Symbol.asyncDispose]: close })
  })
})

it('flushes to the disk for each group when it is to survive the end of power', async () => {
  await using place = await testFile()
  await using store = await openEmbeddedStore({ path: place.file, clock: new ManualClock(), durability: 'power' })
  const results = await Promise.all(Array.from({ length: 1000 }, (_, i) => store.txn([], [put(`k/${i}`, '')])))
  expect(results.every(({ ok }) => ok)).toBe(true)
})
