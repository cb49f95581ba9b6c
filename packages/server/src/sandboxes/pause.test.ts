import { afterEach, expect, test } from 'vitest'
import { CoveError, type Sandbox } from '@cove/domain'
import { MemoryStore } from '@cove/store'
import { SCOPE, openHouse, type House } from '../../test/support/harness.ts'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { StubNode } from '../../test/support/stub-node.ts'
import type { CreateRequest } from './request.ts'

const PLAIN: CreateRequest = { limits: {}, network: { kind: 'none' }, env: {}, labels: {} }
const MINUTE = 60_000
const houses: House[] = []

async function house(world = newWorld()): Promise<House & { readonly clock: ManualClock }> {
  const opened = await openHouse(world)
  houses.push(opened)
  return { ...opened, clock: world.clock, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() }
}

function newWorld(): { clock: ManualClock; store: MemoryStore; node: StubNode } {
  const clock = new ManualClock()
  return { clock, store: new MemoryStore({ clock }), node: new StubNode() }
}

afterEach(async () => {
  for (const one of houses.splice(0)) await one[Symbol.asyncDispose]()
})

const statusOf = async ({ server }: House, ref: string): Promise<Sandbox['status']> =>
  (await server.sandboxes.get(SCOPE, ref)).status

test('a lifetime that is given while it is frozen counts from its waking', async () => {
  const one = await house()
  const { sandboxes } = one.server
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'box', idleTimeout: 'never', lifetime: 30 * MINUTE })
  await sandboxes.pause(SCOPE, 'box')
  await one.clock.advance(600 * MINUTE)
  await sandboxes.updateTimeouts(SCOPE, 'box', { lifetime: 20 * MINUTE })
  await one.clock.advance(100 * MINUTE)
  const { status } = await sandboxes.resume(SCOPE, 'box')
  expect(status).toMatchObject({ state: 'running', deadline: one.clock.now() + 20 * MINUTE })
})

test('frozen time burns neither the idle timeout nor the lifetime', async () => {
  const one = await house()
  const { sandboxes } = one.server
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'box', idleTimeout: 10 * MINUTE, lifetime: 30 * MINUTE })
  await one.clock.advance(5 * MINUTE)
  expect((await sandboxes.pause(SCOPE, 'box')).status.state).toBe('paused')
  await one.clock.advance(600 * MINUTE)
  const { status } = await sandboxes.resume(SCOPE, 'box')
  expect(status).toMatchObject({ state: 'running', deadline: one.clock.now() + 25 * MINUTE })
  await one.clock.advance(10 * MINUTE - 1)
  expect((await statusOf(one, 'box')).state).toBe('running')
  await one.clock.advance(1)
  expect(await statusOf(one, 'box')).toMatchObject({ state: 'deleted', reason: 'idle' })
})

test('a lifetime that is to go on ends a paused sandbox', async () => {
  const one = await house()
  const { sandboxes } = one.server
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'box', lifetime: 30 * MINUTE })
  await sandboxes.pause(SCOPE, 'box', { burnLifetime: true })
  await one.clock.advance(30 * MINUTE)
  expect(await statusOf(one, 'box')).toMatchObject({ state: 'deleted', reason: 'deadline' })
})

test('twice is once, and what is not running cannot be paused', async () => {
  const one = await house()
  const { sandboxes } = one.server
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  const [first, second] = await Promise.all([sandboxes.pause(SCOPE, 'box'), sandboxes.pause(SCOPE, 'box')])
  expect([first.status.state, second.status.state]).toEqual(['paused', 'paused'])
  expect(one.node.calls.filter((call) => call.startsWith('pause'))).toHaveLength(1)
  await expect(sandboxes.guest(SCOPE, 'box')).rejects.toMatchObject({
    code: 'wrong-state',
    fix: 'Use `cove resume box` first.',
  })
  await sandboxes.resume(SCOPE, 'box')
  expect((await sandboxes.resume(SCOPE, 'box')).status.state).toBe('running')
  await sandboxes.stop(SCOPE, 'box', 0)
  await expect(sandboxes.pause(SCOPE, 'box')).rejects.toMatchObject({ code: 'wrong-state' })
  await expect(sandboxes.resume(SCOPE, 'box')).rejects.toMatchObject({ code: 'wrong-state' })
})

test('what is paused to disk says so, and a frozen one can be saved later', async () => {
  const one = await house()
  const { sandboxes } = one.server
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  expect((await sandboxes.pause(SCOPE, 'box')).status).toMatchObject({ state: 'paused', pausedTo: 'memory' })
  expect((await sandboxes.pause(SCOPE, 'box', { to: 'disk' })).status).toMatchObject({ pausedTo: 'disk' })
  expect((await sandboxes.pause(SCOPE, 'box')).status).toMatchObject({ state: 'paused', pausedTo: 'disk' })
  expect((await sandboxes.resume(SCOPE, 'box')).status.state).toBe('running')
  const calls = one.node.calls.filter((call) => call.startsWith('pause'))
  expect(calls.map((call) => call.split(' ').at(-1))).toEqual(['memory', 'disk'])
})

test('a sandbox that may wakes when it is used, once for all that come, and others stay as they are', async () => {
  const one = await house()
  const { sandboxes } = one.server
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'box', autoResume: true })
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'still' })
  await sandboxes.pause(SCOPE, 'still')
  const held = Promise.withResolvers<void>()
  one.node.onPause = () => held.promise
  const pausing = sandboxes.pause(SCOPE, 'box', { to: 'disk' })
  await reached(one, 'box', 'pausing')
  setImmediate(() => held.resolve())
  const leases = await Promise.all([sandboxes.guest(SCOPE, 'box'), pausing, sandboxes.guest(SCOPE, 'box')])
  leases[0][Symbol.dispose]()
  expect((await statusOf(one, 'box')).state).toBe('running')
  await sandboxes.pause(SCOPE, 'box')
  using _again = await sandboxes.guest(SCOPE, 'box')
  expect(one.node.calls.filter((call) => call.startsWith('resume'))).toHaveLength(2)
  await expect(sandboxes.guest(SCOPE, 'still')).rejects.toMatchObject({ code: 'wrong-state' })
})

test('one that is to pause when it is idle pauses, to disk where that can be done, and wakes by itself', async () => {
  const world = newWorld()
  const one = await house(world)
  const { sandboxes } = one.server
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'box', idleTimeout: 10 * MINUTE, onIdle: 'pause' })
  await one.clock.advance(10 * MINUTE)
  expect(await statusOf(one, 'box')).toMatchObject({ state: 'paused', pausedTo: 'disk' })
  await one.clock.advance(100 * MINUTE)
  world.node.onPause = (to) =>
    to === 'disk' ? Promise.reject(new CoveError('unsupported', 'it saves no memory')) : Promise.resolve()
  const lease = await sandboxes.guest(SCOPE, 'box')
  await one.clock.advance(100 * MINUTE)
  expect((await statusOf(one, 'box')).state).toBe('running')
  lease[Symbol.dispose]()
  await one.clock.advance(10 * MINUTE)
  expect(await statusOf(one, 'box')).toMatchObject({ state: 'paused', pausedTo: 'memory' })
  using _lease = await sandboxes.guest(SCOPE, 'box')
})

test('an idle one that cannot be paused runs on, and is asked again after its next idle time', async () => {
  const world = newWorld()
  const one = await house(world)
  await one.server.sandboxes.create(SCOPE, { ...PLAIN, name: 'box', idleTimeout: 10 * MINUTE, onIdle: 'pause' })
  world.node.onPause = () => Promise.reject(new CoveError('no-space', 'the disk is full'))
  await one.clock.advance(25 * MINUTE)
  expect((await statusOf(one, 'box')).state).toBe('running')
  expect(one.node.calls.filter((call) => call.startsWith('pause'))).toHaveLength(2)
  world.node.onPause = () => Promise.resolve()
  await one.clock.advance(10 * MINUTE)
  expect((await statusOf(one, 'box')).state).toBe('paused')
})

test('a machine that cannot be frozen runs on, and one that cannot be woken stays paused', async () => {
  const world = newWorld()
  const one = await house(world)
  const { sandboxes } = one.server
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  world.node.onPause = () => Promise.reject(new CoveError('unsupported', 'it cannot be frozen'))
  await expect(sandboxes.pause(SCOPE, 'box')).rejects.toMatchObject({ code: 'unsupported' })
  expect((await statusOf(one, 'box')).state).toBe('running')
  world.node.onPause = () => Promise.resolve()
  world.node.onResume = () => Promise.reject(new CoveError('driver-failed', 'it does not wake'))
  await sandboxes.pause(SCOPE, 'box')
  await expect(sandboxes.resume(SCOPE, 'box')).rejects.toMatchObject({ code: 'driver-failed' })
  expect((await statusOf(one, 'box')).state).toBe('paused')
  world.node.onResume = () => Promise.resolve()
  expect((await sandboxes.resume(SCOPE, 'box')).status.state).toBe('running')
})

test('a paused sandbox can be deleted, and one whose machine ends has failed', async () => {
  const one = await house()
  const { sandboxes } = one.server
  const ended = await sandboxes.create(SCOPE, { ...PLAIN, name: 'ended' })
  await sandboxes.create(SCOPE, { ...PLAIN, name: 'deleted' })
  await sandboxes.pause(SCOPE, 'ended')
  await sandboxes.pause(SCOPE, 'deleted')
  expect((await sandboxes.delete(SCOPE, 'deleted')).status.state).toBe('deleted')
  one.node.crash(ended.spec.id, { kind: 'out-of-memory' })
  await one.clock.advance(1)
  expect(await statusOf(one, 'ended')).toMatchObject({ state: 'failed', reason: 'out-of-memory' })
})

test.each(['pausing', 'resuming'] as const)('a restart in the middle of %s brings it to its end', async (step) => {
  const world = newWorld()
  const first = await house(world)
  const { spec } = await first.server.sandboxes.create(SCOPE, { ...PLAIN, name: 'box' })
  if (step === 'resuming') await first.server.sandboxes.pause(SCOPE, 'box')
  const held = Promise.withResolvers<void>()
  world.node.onPause = () => held.promise
  world.node.onResume = () => held.promise
  const { sandboxes } = first.server
  const cutOff = (step === 'pausing' ? sandboxes.pause(SCOPE, 'box') : sandboxes.resume(SCOPE, 'box')).catch(() => {})
  await reached(first, 'box', step)
  world.node.onPause = () => Promise.resolve()
  world.node.onResume = () => Promise.resolve()
  const second = await house(world)
  await second.server.reconciled
  const state = step === 'pausing' ? 'paused' : 'running'
  expect((await statusOf(second, 'box')).state).toBe(state)
  expect(world.node.machines.get(spec.id)?.state).toBe(state)
  held.resolve()
  await cutOff
})

async function reached(one: House, ref: string, state: string): Promise<void> {
  for await (const event of one.server.sandboxes.watch(
    SCOPE,
    { states: [], labels: {}, includeDeleted: false },
    AbortSignal.timeout(5_000),
  )) {
    if (event.type === 'changed' && event.sandbox.spec.name === ref && event.sandbox.status.state === state) return
  }
}
