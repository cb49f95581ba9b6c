import { expect, test } from 'vitest'
import type { Store } from '@cove/domain'
import { systemClock } from '@cove/domain/system'
import { MemoryStore } from '@cove/store'
import { SCOPE, openHouse } from '../../test/support/harness.ts'
import type { CreateRequest } from './request.ts'

const PLAIN: CreateRequest = { limits: {}, network: { kind: 'none' }, env: {}, labels: {} }

/** A store that writes down what it was asked for. */
function counted(asked: string[]): Store {
  return new Proxy(new MemoryStore({ clock: systemClock }), {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => {
        if (key === 'txn' || key === 'get' || key === 'range') asked.push(key)
        return value.apply(target, args)
      }
    },
  })
}

test('a create costs two transactions, and looks up only what it names', async () => {
  const asked: string[] = []
  await using house = await openHouse({ store: counted(asked) })
  const { sandboxes } = house.server
  // What is done once after the start is over.
  await sandboxes.create(SCOPE, PLAIN)
  await new Promise((resolve) => setImmediate(resolve))
  const cost = async (request: Partial<CreateRequest>): Promise<string> => {
    asked.length = 0
    await sandboxes.create(SCOPE, { ...PLAIN, ...request })
    return asked.join(' ')
  }
  expect(await cost({})).toBe('txn txn')
  expect(await cost({ name: 'box', template: 'host' })).toBe('txn txn')
  expect(await cost({ template: 'oci:alpine:3.20' })).toBe('txn txn')
  expect(await cost({ idempotencyKey: 'key' })).toBe('get get txn txn')
})
