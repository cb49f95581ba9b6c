import { connect as connectTcp, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CoveError } from '@cove/domain'
import { ask } from '../../../test/support/clients.ts'
import { KEY, OTHER_KEY, openHouse, type House } from '../../../test/support/harness.ts'
import { StubRuntimes, connectMcp, createEnvironment } from '../../../test/support/mcp.ts'

let house: House
let base: string

beforeAll(async () => {
  house = await openHouse({ mcp: { runtimes: new StubRuntimes() } })
  base = await house.listen()
})
afterAll(() => house[Symbol.asyncDispose]())

test('an environment is found again by name and key, in another era and after a new session', async () => {
  await using first = await connectMcp(base, 'legacy')
  const id = await createEnvironment(first, { name: 'kept' })
  await using second = await connectMcp(base, 'modern')
  expect((await second.call('execute', { environment_id: 'kept', code: 'x' })).isError).toBe(false)
  const again = await second.call('create_environment', { runtime: 'python', name: 'kept' })
  expect(again).toMatchObject({ isError: true, text: expect.stringContaining(id) })
  await using stranger = await connectMcp(base, 'modern', OTHER_KEY)
  expect((await stranger.call('list_environments')).facts['count']).toBe(0)
  const foreign = await stranger.call('execute', { environment_id: id, code: 'x' })
  expect(foreign).toMatchObject({ isError: true, text: expect.stringContaining('there is no sandbox') })
})

test('a session of another key is answered like one that never was', async () => {
  await using caller = await connectMcp(base, 'legacy')
  const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
  const answers = []
  for (const [method, session, key] of [
    ['POST', caller.sessionId ?? '', OTHER_KEY],
    ['POST', 'never-was', OTHER_KEY],
    ['DELETE', caller.sessionId ?? '', OTHER_KEY],
    ['GET', caller.sessionId ?? '', OTHER_KEY],
    ['POST', caller.sessionId ?? '', KEY],
  ] as const) {
    const headers = {
      'mcp-session-id': session,
      'mcp-protocol-version': '2025-11-25',
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    }
    const body = method === 'POST' ? { body: JSON.stringify(list) } : {}
    const answer = await ask(`${base}/mcp`, { method, headers, key, ...body })
    answers.push({ status: answer.status, body: answer.body.toString() })
  }
  const [foreign, unknown, ended, listened, own] = answers
  expect(foreign).toMatchObject({ status: 404, body: expect.stringContaining('Session not found') })
  expect(foreign).toEqual(unknown)
  expect([ended?.status, listened?.status, own?.status]).toEqual([404, 404, 200])
})

test('a session that a restart has forgotten is answered 404, and a new one finds the environments', async () => {
  await using before = await openHouse()
  const caller = await connectMcp(await before.listen(), 'legacy')
  await createEnvironment(caller, { name: 'survivor' })
  const { store, node } = before
  await before.server.close(100)
  await using after = await openHouse({ store, node })
  const url = await after.listen()
  const headers = {
    'mcp-session-id': caller.sessionId ?? '',
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
  expect((await ask(`${url}/mcp`, { method: 'POST', headers, body })).status).toBe(404)
  await using anew = await connectMcp(url, 'legacy')
  expect((await anew.call('list_environments')).facts['count']).toBe(1)
})

test('the limit counts live environments only, and creates at the same time cannot pass it together', async () => {
  await using own = await openHouse({ mcp: { settings: { maxEnvironments: 3 } } })
  await using caller = await connectMcp(await own.listen(), 'modern')
  own.node.onCreate = () => Promise.reject(new CoveError('driver-failed', 'no luck'))
  for (let i = 0; i < 4; i++) {
    const failed = await caller.call('create_environment', { runtime: 'shell' })
    expect(failed).toMatchObject({ isError: true, text: expect.stringContaining('no luck') })
  }
  own.node.onCreate = () => Promise.resolve()
  const all = await Promise.all(
    Array.from({ length: 12 }, () => caller.call('create_environment', { runtime: 'shell' })),
  )
  const made = all.filter(({ isError }) => !isError)
  expect(made).toHaveLength(3)
  for (const { text } of all.filter(({ isError }) => isError)) expect(text).toContain('there are 3 environments')
  await caller.call('destroy_environment', { environment_id: made[0]?.facts['environment_id'] })
  expect((await caller.call('create_environment', { runtime: 'shell' })).isError).toBe(false)
})

test('an environment that does not run in time is refused, and removed when it comes late', async () => {
  await using own = await openHouse({ mcp: { settings: { bootMs: 30 } } })
  await using caller = await connectMcp(await own.listen(), 'legacy')
  const late = Promise.withResolvers<void>()
  own.node.onCreate = () => late.promise
  const refused = await caller.call('create_environment', { runtime: 'shell' })
  expect(refused).toMatchObject({ isError: true, text: expect.stringContaining('did not run within 30ms') })
  late.resolve()
  await expect.poll(async () => (await caller.call('list_environments')).facts['count']).toBe(0)
})

test('closing ends the streams on which clients wait', async () => {
  const own = await openHouse()
  const url = await own.listen()
  await using caller = await connectMcp(url, 'legacy')
  const headers = { 'mcp-session-id': caller.sessionId ?? '', accept: 'text/event-stream' }
  const stream = ask(`${url}/mcp`, { headers }).catch(() => undefined)
  const began = performance.now()
  await own.server.close(5_000)
  await stream
  expect(performance.now() - began).toBeLessThan(4_000)
})

const REFUSED: readonly (readonly [string, NonNullable<Parameters<typeof ask>[1]>, number])[] = [
  ['no key', { key: null }, 401],
  ['no JSON', { body: '{' }, 400],
  ['a method that is none', { method: 'PUT' }, 405],
  ['a body of another type', { headers: { 'content-type': 'text/plain' } }, 415],
  ['a session without an id', { body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }) }, 400],
]

test('large requests are bounded all together, and small ones go on meanwhile', async () => {
  await using caller = await connectMcp(base, 'modern')
  const { hostname, port } = new URL(base)
  const sockets: Socket[] = []
  const announce = (): Promise<string> => {
    const socket = connectTcp({ host: hostname, port: Number(port) })
    sockets.push(socket)
    const length = 32 * 1024 * 1024
    socket.write(
      `POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${KEY}\r\nContent-Length: ${length}\r\n\r\n{`,
    )
    return new Promise((resolve) => socket.once('data', (data) => resolve(data.toString())))
  }
  const answers = Array.from({ length: 9 }, announce)
  expect(await Promise.race(answers)).toMatch(/^HTTP\/1.1 503 [^]*too many large requests/)
  expect((await caller.call('list_environments')).isError).toBe(false)
  for (const socket of sockets) socket.destroy()
  const content = 'x'.repeat(5_000_000)
  const write = () => caller.call('write_file', { environment_id: 'no', path: '/x', content })
  await expect.poll(async () => (await write()).text).toContain('there is no sandbox')
})

test.each(REFUSED)('%s is refused', async (_what, options, status) => {
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: {} })
  const asked = { method: 'POST', body, ...options, headers: { ...headers, ...options.headers } }
  expect((await ask(`${base}/mcp`, asked)).status).toBe(status)
})
