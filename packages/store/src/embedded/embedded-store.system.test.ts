import { ManualClock } from '@cove/domain/manual-clock'
import { storeConformance } from '../conformance/index.ts'
import { openEmbeddedStore } from './open-embedded-store.ts'
import { testFile } from './test-file.ts'

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
