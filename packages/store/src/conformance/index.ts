import { describe } from 'vitest'
import { endings } from './endings.ts'
import type { StoreFactory, StoreFixture, WithStore } from './fixture.ts'
import { leases } from './leases.ts'
import { limits } from './limits.ts'
import { model } from './model.ts'
import { ranges } from './ranges.ts'
import { transactions } from './transactions.ts'
import { watches } from './watches.ts'

export type { StoreFactory, StoreFixture }

/** What every implementation of the port has in common, as stories; each runs on an empty store of its own. */
export function storeConformance(name: string, factory: StoreFactory): void {
  const withStore: WithStore = (story) => async () => {
    const fixture = await factory()
    try {
      await story(fixture)
    } finally {
      await fixture.dispose()
    }
  }
  describe(`store: ${name}`, () => {
    describe('transactions', () => {
      transactions(withStore)
    })
    describe('ranges', () => {
      ranges(withStore)
    })
    describe('watches', () => {
      watches(withStore)
    })
    describe('leases', () => {
      leases(withStore)
    })
    describe('limits', () => {
      limits(withStore)
    })
    describe('endings', () => {
      endings(withStore)
    })
    describe('model', () => {
      model(withStore)
    })
  })
}
