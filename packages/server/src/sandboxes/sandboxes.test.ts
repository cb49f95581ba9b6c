import { afterEach, expect, test } from 'vitest'
import { CoveError, type ErrorCode, type Sandbox } from '@cove/domain'
import { MemoryStore } from '@cove/store'
import { PROJECT, openHouse, type House } from '../../test/support/harness.ts'
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

test('a sandbox is created in two transactions, found by id and by name, and deleted for good', async () => {
  const { server, node, store } = await house()
  const { sandboxes } = server
  const before = await store.revision()
  const made = await sandboxes.create(PROJECT, { ...PLAIN, name: 'box', labels: { team: 'a' } })
  expect(await store.revision()).toBe(before + 2)
  expect(made.status).toMatchObject({ state: 'running', incarnation: 1, driver: 'stub', isolation: 'namespace' })
  expect(await sandboxes.get(PROJECT, made.spec.id)).toEqual(made)
  expect(await sandboxes.get(PROJECT, 'box')).toEqual(made)

  const gone = await sandboxes.delete(PROJECT, 'box')
  expect(gone.status).toMatchObject({ state: 'deleted', reason: 'deleted' })
  expect(node.machines.size).toBe(0)
  expect(await sandboxes.delete(PROJECT, made.spec.id)).toEqual(gone)
  const { items } = await store.range({ prefix: SANDBOX_PREFIX })
  expect(items.map(({ key }) => key)).toEqual([`sandbox/tombstone/${made.spec.id}`])
  expect(await failure(sandboxes.guest(PROJECT, made.spec.id))).toBe('sandbox-gone')
})

test('another project sees nothing of it', async () => {
  const { sandboxes } = (await house()).server
  const { spec } = await sandboxes.create(PROJECT, { ...PLAIN, name: 'box' })
  for (const ref of [spec.id, 'box']) {
    expect(await failure(sandboxes.get('other', ref))).toBe('sandbox-not-found')
    expect(await failure(sandboxes.delete('other', ref))).toBe('sandbox-not-found')
    expect(await failure(sandboxes.guest('other', ref))).toBe('sandbox-not-found')
  }
  expect(
    sandboxes.list('other', { filter: { states: [], labels: {}, includeDeleted: true }, size: 10 }).sandboxes,
  ).toEqual([])
  expect((await sandboxes.create('other', { ...PLAIN, name: 'box' })).spec.name).toBe('box')
})

test('the admission limit holds exactly when more than it allows are created at once', async () => {
  const { sandboxes } = (await house({ limits: { sandboxesPerProject: 10 } })).server
  const results = await Promise.allSettled(Array.from({ length: 40 }, () => sandboxes.create(PROJECT, PLAIN)))
  const made = results.filter((result) => result.status === 'fulfilled')
  expect(made).toHaveLength(10)
  const refused = results.filter((result) => result.status === 'rejected')
  expect(new Set(refused.map(({ reason }) => CoveError.from(reason).code))).toEqual(new Set(['quota-exceeded']))
  await sandboxes.create('other', PLAIN)
  await sandboxes.delete(PROJECT, made[0]?.value.spec.id ?? '')
  await sandboxes.create(PROJECT, PLAIN)
  expect(await failure(sandboxes.create(PROJECT, PLAIN))).toBe('quota-exceeded')
})

test('two servers over one store never oversell', async () => {
  const clock = new ManualClock()
  const store = new MemoryStore({ clock })
  const options = { clock, store, limits: { sandboxesPerProject: 7 } }
  const [a, b] = [await house(options), await house(options)]
  const results = await Promise.allSettled(
    Array.from({ length: 30 }, (_, n) => (n % 2 === 0 ? a : b).server.sandboxes.create(PROJECT, PLAIN)),
  )
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(7)
  const slots = await store.range({ prefix: 'sandbox/slot/' })
  expect(slots.items).toHaveLength(7)
})

test('a name is free again when its holder has ended, and only then', async () => {
  const { sandboxes } = (await house()).server
  const first = await sandboxes.create(PROJECT, { ...PLAIN, name: 'box' })
  expect(await failure(sandboxes.create(PROJECT, { ...PLAIN, name: 'box' }))).toBe('already-exists')
  await sandboxes.delete(PROJECT, 'box')
  expect((await sandboxes.get(PROJECT, 'box')).spec.id).toBe(first.spec.id)
  const second = await sandboxes.create(PROJECT, { ...PLAIN, name: 'box' })
  expect((await sandboxes.get(PROJECT, 'box')).spec.id).toBe(second.spec.id)
})

test('the same idempotency key makes one sandbox, also at the same time and after a restart', async () => {
  const clock = new ManualClock()
  const store = new MemoryStore({ clock })
  const node = new StubNode()
  const first = await house({ clock, store, node })
  const request = { ...PLAIN, idempotencyKey: 'k-1', labels: { b: '2', a: '1' } }
  const [x, y] = await Promise.all([
    first.server.sandboxes.create(PROJECT, request),
    first.server.sandboxes.create(PROJECT, { ...request, labels: { a: '1', b: '2' } }),
  ])
  expect(x.spec.id).toBe(y.spec.id)
  expect(await failure(first.server.sandboxes.create(PROJECT, { ...request, template: 'host' }))).toBe(
    'idempotency-conflict',
  )
  const second = await house({ clock, store, node })
  expect((await second.server.sandboxes.create(PROJECT, request)).spec.id).toBe(x.spec.id)
  expect(node.calls.filter((call) => call.startsWith('create'))).toHaveLength(1)
  expect((await second.server.sandboxes.create('other', request)).spec.id).not.toBe(x.spec.id)

  await second.server.sandboxes.delete(PROJECT, x.spec.id)
  expect(await failure(second.server.sandboxes.create(PROJECT, request))).toBe('sandbox-gone')
  await clock.advance(24 * 3_600_000 + 60_000)
  expect((await second.server.sandboxes.create(PROJECT, request)).spec.id).not.toBe(x.spec.id)
})

test('a create that the node refuses leaves only its reason, and its key may be used again', async () => {
  const { server, node, store } = await house()
  node.onCreate = () => Promise.reject(new CoveError('limit-not-enforceable', 'no such memory'))
  const request = { ...PLAIN, name: 'box', idempotencyKey: 'k' }
  const error: unknown = await server.sandboxes.create(PROJECT, request).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'limit-not-enforceable', message: 'no such memory' })
  const { items } = await store.range({ prefix: SANDBOX_PREFIX })
  expect(items.map(({ key }) => key.split('/')[1])).toEqual(['tombstone'])
  expect((await server.sandboxes.get(PROJECT, 'box')).status).toMatchObject({ reason: 'create-failed' })
  node.onCreate = () => Promise.resolve()
  expect((await server.sandboxes.create(PROJECT, request)).status.state).toBe('running')
})

test('a create that fails on the node stays as failed with its reason and holds no place', async () => {
  const { server, node } = await house({ limits: { sandboxesPerProject: 1 } })
  node.onCreate = () => Promise.reject(new CoveError('driver-failed', 'bwrap is broken'))
  expect(await failure(server.sandboxes.create(PROJECT, { ...PLAIN, name: 'box' }))).toBe('driver-failed')
  const failed = await server.sandboxes.get(PROJECT, 'box')
  expect(failed.status).toMatchObject({ state: 'failed', reason: 'create-failed', message: 'bwrap is broken' })
  node.onCreate = () => Promise.resolve()
  await server.sandboxes.create(PROJECT, { ...PLAIN, name: 'box' })
  expect((await server.sandboxes.delete(PROJECT, failed.spec.id)).status.reason).toBe('create-failed')
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
  const creating = failure(server.sandboxes.create(PROJECT, { ...PLAIN, name: 'box' }))
  await reached.promise
  expect(await failure(server.sandboxes.guest(PROJECT, 'box'))).toBe('wrong-state')
  const [one, two] = await Promise.all([
    server.sandboxes.delete(PROJECT, 'box'),
    server.sandboxes.delete(PROJECT, 'box'),
  ])
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
    const creating = server.sandboxes.create(PROJECT, { ...PLAIN, ...extra }, caller.signal)
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

test('stop keeps the disk, start makes the next incarnation, and stale ones are refused', async () => {
  const { server, node } = await house()
  const { sandboxes } = server
  const { spec } = await sandboxes.create(PROJECT, { ...PLAIN, name: 'box' })
  const [stopped] = await Promise.all([sandboxes.stop(PROJECT, 'box', 100), sandboxes.stop(PROJECT, 'box', 100)])
  expect(stopped.status.state).toBe('stopped')
  expect(await sandboxes.stop(PROJECT, 'box', 100)).toEqual(stopped)
  expect(await failure(sandboxes.guest(PROJECT, 'box'))).toBe('wrong-state')
  const [started] = await Promise.all([sandboxes.start(PROJECT, 'box'), sandboxes.start(PROJECT, 'box')])
  expect(started.status).toMatchObject({ state: 'running', incarnation: 2 })
  expect(await failure(sandboxes.guest(PROJECT, 'box', 1))).toBe('stale-incarnation')
  expect(await failure(sandboxes.stop(PROJECT, 'box', 100, 1))).toBe('stale-incarnation')
  using lease = await sandboxes.guest(PROJECT, 'box', 2)
  expect(lease.sandbox.spec.id).toBe(spec.id)
  expect(node.calls.filter((call) => call.startsWith('stop'))).toHaveLength(1)
})

test('a start that fails does not cost the disk', async () => {
  const { server, node } = await house()
  await server.sandboxes.create(PROJECT, { ...PLAIN, name: 'box' })
  await server.sandboxes.stop(PROJECT, 'box', 0)
  node.onCreate = () => Promise.reject(new CoveError('no-capacity', 'full'))
  expect(await failure(server.sandboxes.start(PROJECT, 'box'))).toBe('no-capacity')
  expect((await server.sandboxes.get(PROJECT, 'box')).status).toMatchObject({
    state: 'stopped',
    message: 'start failed: full',
  })
  node.onCreate = () => Promise.resolve()
  const { status } = await server.sandboxes.start(PROJECT, 'box')
  expect(status).toMatchObject({ state: 'running', incarnation: 3 })
  expect(status.message).toBeUndefined()
})

test('a delete that the node fails is told, stays deleting, and is done later', async () => {
  const clock = new ManualClock()
  const { server, node } = await house({ clock })
  await server.sandboxes.create(PROJECT, { ...PLAIN, name: 'box' })
  const { spec } = await server.sandboxes.get(PROJECT, 'box')
  node.onDestroy = () => Promise.reject(new CoveError('driver-failed', 'stuck'))
  expect(await failure(server.sandboxes.delete(PROJECT, 'box'))).toBe('driver-failed')
  expect((await server.sandboxes.get(PROJECT, spec.id)).status.state).toBe('deleting')
  await clock.advance(10_000)
  expect((await server.sandboxes.get(PROJECT, spec.id)).status.state).toBe('deleting')
  node.onDestroy = () => Promise.resolve()
  await clock.advance(60_000)
  expect((await server.sandboxes.get(PROJECT, spec.id)).status.state).toBe('deleted')
})

test('secrets of the environment do not stay in the tombstone', async () => {
  const { server, store } = await house()
  await server.sandboxes.create(PROJECT, { ...PLAIN, name: 'box', env: { TOKEN: 'hush' } })
  await server.sandboxes.delete(PROJECT, 'box')
  const { items } = await store.range({ prefix: SANDBOX_PREFIX })
  expect(items.map(({ value }) => new TextDecoder().decode(value)).join('')).not.toContain('hush')
})

test.each<[Partial<CreateRequest>, string]>([
  [{ name: 'Big' }, 'name'],
  [{ name: 'abcdefghijklmnop' }, 'name'],
  [{ env: { 'A=B': '1' } }, 'env'],
  [{ env: { '': '1' } }, 'env'],
  [{ env: { A: 'x\0' } }, 'env'],
  [{ labels: { ' ': '1' } }, 'labels'],
  [{ idleTimeout: -1 }, 'idleTimeout'],
  [{ lifetime: Number.NaN }, 'lifetime'],
  [{ limits: { cpus: { value: 0, required: true } } }, 'limits.cpus'],
  [{ idempotencyKey: 'a b' }, 'idempotencyKey'],
  [{ template: 'nope' }, 'template'],
])('a bad request %j names its field and changes nothing', async (bad, field) => {
  const { server, store } = await house()
  const before = await store.revision()
  await expect(server.sandboxes.create(PROJECT, { ...PLAIN, ...bad })).rejects.toMatchObject({ context: { field } })
  expect(await store.revision()).toBe(before)
})

test('pages stay stable while others are created and deleted', async () => {
  const clock = new ManualClock()
  const { sandboxes } = (await house({ clock })).server
  const made: Sandbox[] = []
  for (let n = 0; n < 30; n++) {
    made.push(await sandboxes.create(PROJECT, PLAIN))
    if (n % 3 === 0) await clock.advance(1)
  }
  const filter = { states: [], labels: {}, includeDeleted: false }
  const seen: string[] = []
  let token: string | undefined
  do {
    const page = sandboxes.list(PROJECT, { filter, size: 7, ...(token === undefined ? {} : { token }) })
    seen.push(...page.sandboxes.map(({ spec }) => spec.id))
    token = page.next
    const last = page.sandboxes.at(-1)
    if (last !== undefined) await sandboxes.delete(PROJECT, last.spec.id)
    await clock.advance(1)
    await sandboxes.create(PROJECT, PLAIN)
  } while (token !== undefined)
  expect(seen.toSorted()).toEqual(made.map(({ spec }) => spec.id).toSorted())
  expect(() => sandboxes.list(PROJECT, { filter, size: 7, token: 'bm9wZQ' })).toThrow(/pageToken/)
})

test('a watch tells what is there and then every change, and follows what leaves its filter', async () => {
  const { sandboxes } = (await house()).server
  const old = await sandboxes.create(PROJECT, { ...PLAIN, labels: { team: 'a' } })
  await sandboxes.create(PROJECT, { ...PLAIN, labels: { team: 'b' } })
  const ending = new AbortController()
  const told: string[] = []
  const filter = { states: ['running' as const], labels: { team: 'a' }, includeDeleted: false }
  const watching = (async () => {
    for await (const event of sandboxes.watch(PROJECT, filter, ending.signal)) {
      told.push(event.type === 'synced' ? 'synced' : `${event.sandbox.spec.id} ${event.sandbox.status.state}`)
    }
  })()
  await settle()
  const fresh = await sandboxes.create(PROJECT, { ...PLAIN, labels: { team: 'a' } })
  await sandboxes.stop(PROJECT, old.spec.id, 0)
  await sandboxes.delete(PROJECT, fresh.spec.id)
  await settle()
  ending.abort()
  await expect(watching).rejects.toThrow(/abort/)
  expect(told).toEqual([
    `${old.spec.id} running`,
    'synced',
    `${fresh.spec.id} running`,
    `${old.spec.id} stopping`,
    `${old.spec.id} stopped`,
    `${fresh.spec.id} deleting`,
    `${fresh.spec.id} deleted`,
  ])
})
