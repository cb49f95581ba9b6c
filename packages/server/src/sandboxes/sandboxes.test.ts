import { afterEach, expect, test } from 'vitest'
import { CoveError, type ErrorCode, type Sandbox } from '@cove/domain'
import { SCOPE, openHouse, type House } from '../../test/support/harness.ts'
import { ManualClock, settle } from '../../test/support/manual-clock.ts'
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

test('a sandbox is created in two transactions, found by id and by name, and deleted for good', async () => {
  const { server, node, store } = await house()
  const { sandboxes } = server
  const before = await store.revision()
  const made = await sandboxes.create(SCOPE, { ...PLAIN, name: 'box', labels: { team: 'a' } })
  expect(await store.revision()).toBe(before + 2)
  expect(made.status).toMatchObject({ state: 'running', incarnation: 1, driver: 'stub', isolation: 'namespace' })
  expect(await sandboxes.get(SCOPE, made.spec.id)).toEqual(made)
  expect(await sandboxes.get(SCOPE, 'box')).toEqual(made)

  const gone = await sandboxes.delete(SCOPE, 'box')
  expect(gone.status).toMatchObject({ state: 'deleted', reason: 'deleted' })
  expect(node.machines.size).toBe(0)
  expect(await sandboxes.delete(SCOPE, made.spec.id)).toEqual(gone)
  const { items } = await store.range({ prefix: SANDBOX_PREFIX })
  expect(items.map(({ key }) => key)).toEqual([`sandbox/tombstone/${made.spec.id}`])
  expect(await failure(sandboxes.guest(SCOPE, made.spec.id))).toBe('sandbox-gone')
})

test('another project sees nothing of it', async () => {
  const { sandboxes } = (await house()).server
  const { spec } = await sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  for (const ref of [spec.id, 'box']) {
    expect(await failure(sandboxes.get({ project: 'other' }, ref))).toBe('sandbox-not-found')
    expect(await failure(sandboxes.delete({ project: 'other' }, ref))).toBe('sandbox-not-found')
    expect(await failure(sandboxes.guest({ project: 'other' }, ref))).toBe('sandbox-not-found')
  }
  expect(
    sandboxes.list({ project: 'other' }, { filter: { states: [], labels: {}, includeDeleted: true }, size: 10 })
      .sandboxes,
  ).toEqual([])
  expect((await sandboxes.create({ project: 'other' }, { ...PLAIN, name: 'box' })).spec.name).toBe('box')
})

test('stop keeps the disk, start makes the next incarnation, and stale ones are refused', async () => {
  const { server, node } = await house()
  const { sandboxes } = server
  const { spec } = await sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  const [stopped] = await Promise.all([sandboxes.stop(SCOPE, 'box', 100), sandboxes.stop(SCOPE, 'box', 100)])
  expect(stopped.status.state).toBe('stopped')
  expect(await sandboxes.stop(SCOPE, 'box', 100)).toEqual(stopped)
  expect(await failure(sandboxes.guest(SCOPE, 'box'))).toBe('wrong-state')
  const [started] = await Promise.all([sandboxes.start(SCOPE, 'box'), sandboxes.start(SCOPE, 'box')])
  expect(started.status).toMatchObject({ state: 'running', incarnation: 2 })
  expect(await failure(sandboxes.guest(SCOPE, 'box', 1))).toBe('stale-incarnation')
  expect(await failure(sandboxes.stop(SCOPE, 'box', 100, 1))).toBe('stale-incarnation')
  using lease = await sandboxes.guest(SCOPE, 'box', 2)
  expect(lease.sandbox.spec.id).toBe(spec.id)
  expect(node.calls.filter((call) => call.startsWith('stop'))).toHaveLength(1)
})

test('a start that fails does not cost the disk', async () => {
  const { server, node } = await house()
  await server.sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  await server.sandboxes.stop(SCOPE, 'box', 0)
  node.onCreate = () => Promise.reject(new CoveError('no-capacity', 'full'))
  expect(await failure(server.sandboxes.start(SCOPE, 'box'))).toBe('no-capacity')
  expect((await server.sandboxes.get(SCOPE, 'box')).status).toMatchObject({
    state: 'stopped',
    message: 'start failed: full',
  })
  node.onCreate = () => Promise.resolve()
  const { status } = await server.sandboxes.start(SCOPE, 'box')
  expect(status).toMatchObject({ state: 'running', incarnation: 3 })
  expect(status.message).toBeUndefined()
})

test('a delete that the node fails is told, stays deleting, and is done later', async () => {
  const clock = new ManualClock()
  const { server, node } = await house({ clock })
  await server.sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  const { spec } = await server.sandboxes.get(SCOPE, 'box')
  node.onDestroy = () => Promise.reject(new CoveError('driver-failed', 'stuck'))
  expect(await failure(server.sandboxes.delete(SCOPE, 'box'))).toBe('driver-failed')
  expect((await server.sandboxes.get(SCOPE, spec.id)).status.state).toBe('deleting')
  await clock.advance(10_000)
  expect((await server.sandboxes.get(SCOPE, spec.id)).status.state).toBe('deleting')
  node.onDestroy = () => Promise.resolve()
  await clock.advance(60_000)
  expect((await server.sandboxes.get(SCOPE, spec.id)).status.state).toBe('deleted')
})

test('secrets of the environment do not stay in the tombstone', async () => {
  const { server, store } = await house()
  await server.sandboxes.create(SCOPE, { ...PLAIN, name: 'box', env: { TOKEN: 'hush' } })
  await server.sandboxes.delete(SCOPE, 'box')
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
  await expect(server.sandboxes.create(SCOPE, { ...PLAIN, ...bad })).rejects.toMatchObject({ context: { field } })
  expect(await store.revision()).toBe(before)
})

test('pages stay stable while others are created and deleted', async () => {
  const clock = new ManualClock()
  const { sandboxes } = (await house({ clock })).server
  const made: Sandbox[] = []
  for (let n = 0; n < 30; n++) {
    made.push(await sandboxes.create(SCOPE, PLAIN))
    if (n % 3 === 0) await clock.advance(1)
  }
  const filter = { states: [], labels: {}, includeDeleted: false }
  const seen: string[] = []
  let token: string | undefined
  do {
    const page = sandboxes.list(SCOPE, { filter, size: 7, ...(token === undefined ? {} : { token }) })
    seen.push(...page.sandboxes.map(({ spec }) => spec.id))
    token = page.next
    const last = page.sandboxes.at(-1)
    if (last !== undefined) await sandboxes.delete(SCOPE, last.spec.id)
    await clock.advance(1)
    await sandboxes.create(SCOPE, PLAIN)
  } while (token !== undefined)
  expect(seen.toSorted()).toEqual(made.map(({ spec }) => spec.id).toSorted())
  expect(() => sandboxes.list(SCOPE, { filter, size: 7, token: 'bm9wZQ' })).toThrow(/pageToken/)
})

test('a watch tells what is there and then every change, and follows what leaves its filter', async () => {
  const { sandboxes } = (await house()).server
  const old = await sandboxes.create(SCOPE, { ...PLAIN, labels: { team: 'a' } })
  await sandboxes.create(SCOPE, { ...PLAIN, labels: { team: 'b' } })
  const ending = new AbortController()
  const told: string[] = []
  const filter = { states: ['running' as const], labels: { team: 'a' }, includeDeleted: false }
  const watching = (async () => {
    for await (const event of sandboxes.watch(SCOPE, filter, ending.signal)) {
      told.push(event.type === 'synced' ? 'synced' : `${event.sandbox.spec.id} ${event.sandbox.status.state}`)
    }
  })()
  await settle()
  const fresh = await sandboxes.create(SCOPE, { ...PLAIN, labels: { team: 'a' } })
  await sandboxes.stop(SCOPE, old.spec.id, 0)
  await sandboxes.delete(SCOPE, fresh.spec.id)
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
