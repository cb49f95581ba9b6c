import { ManualClock } from '@cove/domain/manual-clock'
import { describe } from 'vitest'
import { boundedHistory } from './conformance/history.ts'
import { storeConformance } from './conformance/index.ts'
import { MemoryStore } from './memory-store.ts'

storeConformance('in memory', async () => {
  const clock = new ManualClock()
  const store = new MemoryStore({ clock })
  return { store, advance: (ms) => clock.advance(ms), dispose: () => store.close() }
})

describe('history in memory', () => {
  boundedHistory(async (historyLimit) => new MemoryStore({ clock: new ManualClock(), historyLimit }))
})
