import { afterEach, expect, test } from 'vitest'
import { CoveError, type Sandbox, type SandboxId, type Store } from '@cove/domain'
import { MemoryStore } from '@cove/store'
import { SANDBOX_PREFIX } from '../sandboxes/keys.ts'
import { SCOPE, openHouse, type House } from '../../test/support/harness.ts'
import { ManualClock, settle } from '../../test/support/manual-clock.ts'
import { StubNode } from '../../test/support/stub-node.ts'
import type { CreateRequest } from '../sandboxes/request.ts'

const PLAIN: CreateRequest = { limits: {}, network: { kind: 'none' }, env: {}, labels: {} }
const MINUTE = 60_000
const houses: House[] = []

async function house(options: Parameters<typeof openHouse>[0]): Promise<House> {
  const opened = await openHouse(options)
  houses.push(opened)
  return opened
}

afterEach(async () => {
  for (const one of houses.splice(0)) await one[Symbol.asyncDispose]()
})

function world(): { clock: ManualClock; store: Store; node: StubNode } {
  const clock = new ManualClock()
  return { clock, store: new MemoryStore({ clock }), node: new StubNode() }
}

const stateOf = async (one: House, ref: string): Promise<Sandbox['status']> =>
  (await one.server.sandboxes.get(SCOPE, ref)).status

test('an unused sandbox ends after its idle timeout, a used one that much later', async () => {
  const { clock, ...rest } = world()
  const one = await house({ clock, ...rest })
  const { sandboxes } = one.server
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'unused' })
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'used' })
  await clock.advance(20 * MINUTE)
  ;(await sandboxes.guest(SCOPE, 'used'))[Symbol.dispose]()
  await clock.advance(10 * MINUTE - 1)
  expect((await stateOf(one, 'unused')).state).toBe('running')
  await clock.advance(1)
  expect(await stateOf(one, 'unused')).toMatchObject({ state: 'deleted', reason: 'idle' })
  await clock.advance(20 * MINUTE - 2)
  expect((await stateOf(one, 'used')).state).toBe('running')
  await clock.advance(MINUTE)
  expect(await stateOf(one, 'used')).toMatchObject({ state: 'deleted', reason: 'idle' })
})

test('an attached stream keeps a sandbox from being idle for as long as it lasts', async () => {
  const { clock, ...rest } = world()
  const one = await house({ clock, ...rest })
  await one.server.sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  const lease = await one.server.sandboxes.guest(SCOPE, 'box')
  await clock.advance(300 * MINUTE)
  expect((await stateOf(one, 'box')).state).toBe('running')
  lease[Symbol.dispose]()
  await clock.advance(29 * MINUTE)
  expect((await stateOf(one, 'box')).state).toBe('running')
  await clock.advance(32 * MINUTE)
  expect((await stateOf(one, 'box')).reason).toBe('idle')
})

test('a lifetime ends whatever happens, can be extended, and can be made never', async () => {
  const { clock, ...rest } = world()
  const one = await house({ clock, ...rest })
  const { sandboxes } = one.server
  const request = { ...PLAIN, idleTimeout: 'never', lifetime: 10 * MINUTE } as const
  for (const name of ['short', 'longer', 'never', 'stopped']) await sandboxes.create(SCOPE, { ...request, name })
  using _lease = await sandboxes.guest(SCOPE, 'short')
  await sandboxes.stop(SCOPE, 'stopped', 0)
  await clock.advance(5 * MINUTE)
  const { status } = await sandboxes.updateTimeouts(SCOPE, 'longer', { lifetime: 10 * MINUTE })
  expect(status.deadline).toBe(clock.now() + 10 * MINUTE)
  expect((await sandboxes.updateTimeouts(SCOPE, 'never', { lifetime: 'never' })).status.deadline).toBeUndefined()
  await clock.advance(5 * MINUTE)
  expect(await stateOf(one, 'short')).toMatchObject({ state: 'deleted', reason: 'deadline' })
  expect(await stateOf(one, 'stopped')).toMatchObject({ state: 'deleted', reason: 'deadline' })
  await clock.advance(5 * MINUTE)
  expect((await stateOf(one, 'longer')).reason).toBe('deadline')
  await clock.advance(1000 * MINUTE)
  expect((await stateOf(one, 'never')).state).toBe('running')
})

test('a shorter idle timeout takes hold at once, and counts from the change', async () => {
  const { clock, ...rest } = world()
  const one = await house({ clock, ...rest })
  const { sandboxes } = one.server
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'box', idleTimeout: 'never' })
  await clock.advance(100 * MINUTE)
  await sandboxes.updateTimeouts(SCOPE, 'box', { idleTimeout: MINUTE })
  await clock.advance(MINUTE - 1)
  expect((await stateOf(one, 'box')).state).toBe('running')
  await clock.advance(1)
  expect((await stateOf(one, 'box')).reason).toBe('idle')
})

test('a sandbox whose end the store refused is spared when it is used meanwhile', async () => {
  const { clock, store, node } = world()
  const one = await house({ clock, store, node })
  const { sandboxes } = one.server
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  const txn = store.txn.bind(store)
  store.txn = () => Promise.reject(new CoveError('no-space', 'the disk is full'))
  await clock.advance(30 * MINUTE)
  store.txn = txn
  expect((await stateOf(one, 'box')).state).toBe('running')
  ;(await sandboxes.guest(SCOPE, 'box'))[Symbol.dispose]()
  await clock.advance(29 * MINUTE)
  expect((await stateOf(one, 'box')).state).toBe('running')
  await clock.advance(2 * MINUTE)
  expect(await stateOf(one, 'box')).toMatchObject({ state: 'deleted', reason: 'idle' })
})

test('a sandbox that fills the disk is deleted although nothing can be written before', async () => {
  const { clock, store, node } = world()
  const one = await house({ clock, store, node })
  const { sandboxes } = one.server
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  const txn = store.txn.bind(store)
  const full = new CoveError('no-space', 'the disk is full')
  store.txn = () => Promise.reject(full)
  const destroy = node.destroy.bind(node)
  let attempts = 0
  node.destroy = async (id) => {
    attempts += 1
    await destroy(id)
    store.txn = txn
    // The node's own record needed room as well.
    if (attempts === 1) throw full
  }
  const { spec } = await sandboxes.delete(SCOPE, 'box')
  expect(attempts).toBe(2)
  expect(await stateOf(one, spec.id)).toMatchObject({ state: 'deleted', reason: 'deleted' })
})

test('a step whose outcome the store refused is brought to its end when it takes it again', async () => {
  const { clock, store, node } = world()
  const one = await house({ clock, store, node })
  const { sandboxes } = one.server
  const txn = store.txn.bind(store)
  const fail = (): void => {
    store.txn = () => Promise.reject(new CoveError('no-space', 'the disk is full'))
  }
  node.onCreate = () => Promise.resolve(fail())
  await expect(sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })).rejects.toMatchObject({ code: 'no-space' })
  await clock.advance(20_000)
  expect((await stateOf(one, 'box')).state).toBe('creating')
  store.txn = txn
  node.onCreate = () => Promise.resolve()
  await clock.advance(10_000)
  expect(await stateOf(one, 'box')).toMatchObject({ state: 'running', incarnation: 1 })

  const stop = node.stop.bind(node)
  node.stop = async (...args) => {
    fail()
    return stop(...args)
  }
  await expect(sandboxes.stop(SCOPE, 'box', 0)).rejects.toMatchObject({ code: 'no-space' })
  store.txn = txn
  node.stop = stop
  await clock.advance(10_000)
  expect((await stateOf(one, 'box')).state).toBe('stopped')
})

test('a stopped sandbox is not idle', async () => {
  const { clock, ...rest } = world()
  const one = await house({ clock, ...rest })
  await one.server.sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  await one.server.sandboxes.stop(SCOPE, 'box', 0)
  await clock.advance(1000 * MINUTE)
  expect((await stateOf(one, 'box')).state).toBe('stopped')
})

test.each([
  [{ kind: 'signaled', signal: 9 }, 'crashed', 'its machine was killed by signal 9'],
  [{ kind: 'out-of-memory' }, 'out-of-memory', 'its machine ran out of memory'],
] as const)(
  'a machine that ends by itself (%j) makes its sandbox fail with the reason',
  async (exit, reason, message) => {
    const { clock, ...rest } = world()
    const one = await house({ clock, ...rest })
    const { spec } = await one.server.sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
    one.node.crash(spec.id, exit)
    await settle()
    expect(await stateOf(one, spec.id)).toMatchObject({ state: 'failed', reason, message })
    expect(one.node.machines.size).toBe(0)
    expect((await one.server.sandboxes.delete(SCOPE, spec.id)).status).toMatchObject({ state: 'deleted', reason })
  },
)

test('a machine that ends before its create was recorded is not taken for running', async () => {
  const { clock, ...rest } = world()
  const one = await house({ clock, ...rest })
  const { node } = one
  node.onCreate = async ({ spec, incarnation }) => {
    node.machines.set(spec.id, {
      id: spec.id,
      incarnation,
      driver: 'stub',
      isolation: 'namespace',
      limits: [],
      state: 'running',
    })
    node.crash(spec.id, { kind: 'exited', code: 3 })
    await settle()
  }
  const { spec } = await one.server.sandboxes.create(SCOPE, PLAIN)
  await settle()
  expect(await stateOf(one, spec.id)).toMatchObject({ state: 'failed', reason: 'crashed' })
})

test('a failed sandbox is forgotten after a day', async () => {
  const { clock, ...rest } = world()
  const one = await house({ clock, ...rest })
  const { spec } = await one.server.sandboxes.create(SCOPE, PLAIN)
  one.node.crash(spec.id, { kind: 'lost' })
  await clock.advance(23 * 60 * MINUTE)
  expect((await stateOf(one, spec.id)).state).toBe('failed')
  await clock.advance(60 * MINUTE)
  expect(await stateOf(one, spec.id)).toMatchObject({ state: 'deleted', reason: 'crashed' })
})

test('failed sandboxes do not pile up', async () => {
  const { clock, ...rest } = world()
  const one = await house({ clock, ...rest, limits: { tombstones: 3 } })
  one.node.onCreate = () => Promise.reject(new CoveError('driver-failed', 'no'))
  for (let n = 0; n < 8; n++) {
    await expect(one.server.sandboxes.create(SCOPE, PLAIN)).rejects.toMatchObject({ code: 'driver-failed' })
    await clock.advance(1)
  }
  await clock.advance(2 * MINUTE)
  const filter = { states: ['failed' as const], labels: {}, includeDeleted: false }
  expect(one.server.sandboxes.list(SCOPE, { filter, size: 100 }).sandboxes).toHaveLength(3)
})

test('tombstones go by age and by number, then the answer is gone, and after a restart not found', async () => {
  const { clock, store, node } = world()
  const one = await house({ clock, store, node, limits: { tombstones: 3 } })
  const ids: SandboxId[] = []
  for (let n = 0; n < 5; n++) {
    const { spec } = await one.server.sandboxes.create(SCOPE, PLAIN)
    await one.server.sandboxes.delete(SCOPE, spec.id)
    ids.push(spec.id)
    await settle()
  }
  const codes = async (server: House): Promise<string[]> =>
    Promise.all(
      ids.map((id) =>
        server.server.sandboxes.get(SCOPE, id).then(
          ({ status }) => status.state,
          (error: unknown) => (error as CoveError).code,
        ),
      ),
    )
  expect(await codes(one)).toEqual(['sandbox-gone', 'sandbox-gone', 'deleted', 'deleted', 'deleted'])
  await clock.advance(24 * 60 * MINUTE + MINUTE)
  expect(await codes(one)).toEqual(Array(5).fill('sandbox-gone'))
  expect((await store.range({ prefix: SANDBOX_PREFIX })).items).toEqual([])
  const two = await house({ clock, store, node })
  expect(await codes(two)).toEqual(Array(5).fill('sandbox-not-found'))
})

test('a restart adopts, finishes, fails and removes, each as it should', async () => {
  const { clock, store, node } = world()
  const first = await openHouse({ clock, store, node })
  const { sandboxes } = first.server
  for (const name of ['adopted', 'ended', 'missing', 'stopped', 'stopping', 'deleting']) {
    await sandboxes.create(SCOPE, { ...PLAIN, name })
  }
  await sandboxes.stop(SCOPE, 'stopped', 0)
  const idOf = async (name: string) => (await sandboxes.get(SCOPE, name)).spec.id
  const ids = {
    adopted: await idOf('adopted'),
    ended: await idOf('ended'),
    missing: await idOf('missing'),
    stopped: await idOf('stopped'),
    stopping: await idOf('stopping'),
    deleting: await idOf('deleting'),
  }
  // The server dies in the middle of a create, a stop and a delete: what it had written stays.
  const stuck = new Promise<never>(() => undefined)
  node.onCreate = () => stuck
  node.onDestroy = () => stuck
  const realStop = node.stop.bind(node)
  node.stop = () => stuck
  void sandboxes.create(SCOPE, { ...PLAIN, name: 'creating' })
  void sandboxes.stop(SCOPE, 'stopping', 0)
  void sandboxes.delete(SCOPE, ids.deleting)
  await settle()
  const frozen = new MemoryStore({ clock })
  const { items } = await store.range({ prefix: '' })
  await frozen.txn(
    [],
    items.map(({ key, value }) => ({ type: 'put', key, value })),
  )

  node.onCreate = () => Promise.resolve()
  node.onDestroy = () => Promise.resolve()
  node.stop = realStop
  const machine = node.machines.get(ids.ended)
  if (machine === undefined) throw new Error('no machine')
  node.machines.set(ids.ended, { ...machine, state: 'ended', exit: { kind: 'out-of-memory' } })
  node.machines.delete(ids.missing)
  const leftover = 'leftoverleftover' as SandboxId
  node.machines.set(leftover, { ...machine, id: leftover })

  const second = await house({ clock, store: frozen, node })
  expect((await stateOf(second, ids.adopted)).state).toBe('running')
  expect(await stateOf(second, ids.ended)).toMatchObject({ state: 'failed', reason: 'out-of-memory' })
  expect(await stateOf(second, ids.missing)).toMatchObject({ state: 'failed', reason: 'node-lost' })
  expect((await stateOf(second, ids.stopped)).state).toBe('stopped')
  expect((await stateOf(second, ids.stopping)).state).toBe('stopped')
  expect(await stateOf(second, ids.deleting)).toMatchObject({ state: 'deleted', reason: 'deleted' })
  expect(await stateOf(second, 'creating')).toMatchObject({ state: 'running', incarnation: 1 })
  expect(node.machines.has(leftover)).toBe(false)
  expect(node.machines.has(ids.ended)).toBe(false)
})

test('idle clocks start again with the server', async () => {
  const { clock, store, node } = world()
  const first = await openHouse({ clock, store, node })
  await first.server.sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  await clock.advance(29 * MINUTE)
  const closed = first.server.close(0)
  await clock.advance(0)
  await closed
  const second = await house({ clock, store, node })
  await clock.advance(29 * MINUTE)
  expect((await stateOf(second, 'box')).state).toBe('running')
  await clock.advance(MINUTE)
  expect((await stateOf(second, 'box')).reason).toBe('idle')
})
