import { afterEach, expect, test } from 'vitest'
import { CoveError, type ErrorCode } from '@cove/domain'
import { MemoryStore } from '@cove/store'
import { SCOPE, openHouse, type House } from '../../test/support/harness.ts'
import { ManualClock, settle } from '../../test/support/manual-clock.ts'
import { StubNode } from '../../test/support/stub-node.ts'
import type { CreateRequest } from './request.ts'
import { SANDBOX_PREFIX } from './keys.ts'

const PLAIN: CreateRequest = { limits: {}, network: { kind: 'none' }, env: {}, labels: {} }
const houses: House[] = []

async function house(options: Parameters<typeof openHouse>[0] = {}): Promise<House> {
  const opened = await openHouse({ clock: new ManualClock(), ...options })
  houses.push(opened)
  return opened
}

afterEach(async () => {
  for (const one of houses.splice(0)) await one[Symbol.asyncDispose]()
})

const failure = async (promise: Promise<unknown>): Promise<ErrorCode> =>
  promise.then(
    () => expect.fail('it should have failed'),
    (error: unknown) => (error instanceof CoveError ? error.code : expect.fail(String(error))),
  )

const held = () => Promise.withResolvers<void>()

test('the admission limit holds exactly when more than it allows are created at once', async () => {
  const { sandboxes } = (await house({ limits: { sandboxesPerProject: 10 } })).server
  const results = await Promise.allSettled(Array.from({ length: 40 }, () => sandboxes.create(SCOPE, PLAIN)))
  const made = results.filter((result) => result.status === 'fulfilled')
  expect(made).toHaveLength(10)
  const refused = results.filter((result) => result.status === 'rejected')
  expect(new Set(refused.map(({ reason }) => CoveError.from(reason).code))).toEqual(new Set(['quota-exceeded']))
  await sandboxes.create({ project: 'other' }, PLAIN)
  await sandboxes.delete(SCOPE, made[0]?.value.spec.id ?? '')
  await sandboxes.create(SCOPE, PLAIN)
  expect(await failure(sandboxes.create(SCOPE, PLAIN))).toBe('quota-exceeded')
})

test('two servers over one store never oversell', async () => {
  const clock = new ManualClock()
  const store = new MemoryStore({ clock })
  const options = { clock, store, limits: { sandboxesPerProject: 7 } }
  const [a, b] = [await house(options), await house(options)]
  const results = await Promise.allSettled(
    Array.from({ length: 30 }, (_, n) => (n % 2 === 0 ? a : b).server.sandboxes.create(SCOPE, PLAIN)),
  )
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(7)
  const slots = await store.range({ prefix: 'sandbox/slot/' })
  expect(slots.items).toHaveLength(7)
})

test('a name is free again when its holder has ended, and only then', async () => {
  const { sandboxes } = (await house()).server
  const first = await sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  expect(await failure(sandboxes.create(SCOPE, { ...PLAIN, name: 'box' }))).toBe('already-exists')
  await sandboxes.delete(SCOPE, 'box')
  expect((await sandboxes.get(SCOPE, 'box')).spec.id).toBe(first.spec.id)
  const second = await sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  expect((await sandboxes.get(SCOPE, 'box')).spec.id).toBe(second.spec.id)
})

test('the same idempotency key makes one sandbox, also at the same time and after a restart', async () => {
  const clock = new ManualClock()
  const store = new MemoryStore({ clock })
  const node = new StubNode()
  const first = await house({ clock, store, node })
  const request = { ...PLAIN, idempotencyKey: 'k-1', labels: { b: '2', a: '1' } }
  const [x, y] = await Promise.all([
    first.server.sandboxes.create(SCOPE, request),
    first.server.sandboxes.create(SCOPE, { ...request, labels: { a: '1', b: '2' } }),
  ])
  expect(x.spec.id).toBe(y.spec.id)
  expect(await failure(first.server.sandboxes.create(SCOPE, { ...request, template: 'host' }))).toBe(
    'idempotency-conflict',
  )
  const second = await house({ clock, store, node })
  expect((await second.server.sandboxes.create(SCOPE, request)).spec.id).toBe(x.spec.id)
  expect(node.calls.filter((call) => call.startsWith('create'))).toHaveLength(1)
  expect((await second.server.sandboxes.create({ project: 'other' }, request)).spec.id).not.toBe(x.spec.id)

  await second.server.sandboxes.delete(SCOPE, x.spec.id)
  expect(await failure(second.server.sandboxes.create(SCOPE, request))).toBe('sandbox-gone')
  await clock.advance(24 * 3_600_000 + 60_000)
  expect((await second.server.sandboxes.create(SCOPE, request)).spec.id).not.toBe(x.spec.id)
})

test('a create that the node refuses leaves only its reason, and its key may be used again', async () => {
  const { server, node, store } = await house()
  node.onCreate = () => Promise.reject(new CoveError('limit-not-enforceable', 'no such memory'))
  const request = { ...PLAIN, name: 'box', idempotencyKey: 'k' }
  const error: unknown = await server.sandboxes.create(SCOPE, request).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'limit-not-enforceable', message: 'no such memory' })
  const { items } = await store.range({ prefix: SANDBOX_PREFIX })
  expect(items.map(({ key }) => key.split('/')[1])).toEqual(['tombstone'])
  expect((await server.sandboxes.get(SCOPE, 'box')).status).toMatchObject({ reason: 'create-failed' })
  node.onCreate = () => Promise.resolve()
  expect((await server.sandboxes.create(SCOPE, request)).status.state).toBe('running')
})

test('a create that fails on the node stays as failed with its reason and holds no place', async () => {
  const { server, node } = await house({ limits: { sandboxesPerProject: 1 } })
  node.onCreate = () => Promise.reject(new CoveError('driver-failed', 'bwrap is broken'))
  expect(await failure(server.sandboxes.create(SCOPE, { ...PLAIN, name: 'box' }))).toBe('driver-failed')
  const failed = await server.sandboxes.get(SCOPE, 'box')
  expect(failed.status).toMatchObject({ state: 'failed', reason: 'create-failed', message: 'bwrap is broken' })
  node.onCreate = () => Promise.resolve()
  await server.sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  expect((await server.sandboxes.delete(SCOPE, failed.spec.id)).status.reason).toBe('create-failed')
})

test('a delete during create ends it, and both callers are told', async () => {
  const { server, node } = await house()
  const reached = held()
  node.onCreate = (_request, signal) => {
    reached.resolve()
    return new Promise((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason as Error))
    })
  }
  const creating = failure(server.sandboxes.create(SCOPE, { ...PLAIN, name: 'box' }))
  await reached.promise
  expect(await failure(server.sandboxes.guest(SCOPE, 'box'))).toBe('wrong-state')
  const [one, two] = await Promise.all([server.sandboxes.delete(SCOPE, 'box'), server.sandboxes.delete(SCOPE, 'box')])
  expect(one.status.state).toBe('deleted')
  expect(two).toEqual(one)
  expect(await creating).toBe('sandbox-gone')
  expect(node.machines.size).toBe(0)
})

test('a caller that goes away takes a sandbox with it that nobody could find again, but no other', async () => {
  const { server, node } = await house()
  for (const [extra, survives] of [
    [{}, false],
    [{ name: 'box' }, true],
    [{ idempotencyKey: 'k' }, true],
  ] as const) {
    const gate = held()
    const reached = held()
    node.onCreate = async (_request, signal) => {
      reached.resolve()
      signal?.addEventListener('abort', () => gate.resolve())
      await gate.promise
    }
    const caller = new AbortController()
    const creating = server.sandboxes.create(SCOPE, { ...PLAIN, ...extra }, caller.signal)
    const outcome = creating.then(
      () => true,
      () => false,
    )
    await reached.promise
    caller.abort()
    await settle()
    gate.resolve()
    expect(await outcome).toBe(survives)
    await settle()
  }
  expect(node.machines.size).toBe(2)
})
