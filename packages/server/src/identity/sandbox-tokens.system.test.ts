import { once } from 'node:events'
import { connect } from 'node:net'
import { timestampMs } from '@bufbuild/protobuf/wkt'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Role } from '@cove/api'
import { MemoryStore } from '@cove/store'
import { ask } from '../../test/support/clients.ts'
import { KEY, openHouse, type House } from '../../test/support/harness.ts'
import { callerOf, makeKey, outcome, type Caller } from '../../test/support/identity.ts'
import { ManualClock, settle } from '../../test/support/manual-clock.ts'

let clock: ManualClock
let store: MemoryStore
let house: House
let base: string
let operator: Caller
let box: string
let other: string

beforeEach(async () => {
  clock = new ManualClock()
  store = new MemoryStore({ clock })
  house = await openHouse({ clock, store })
  base = await house.listen()
  operator = callerOf(base, KEY)
  box = (await operator.sandboxes.createSandbox({ name: 'box' })).sandbox?.id ?? ''
  other = (await operator.sandboxes.createSandbox({ name: 'other' })).sandbox?.id ?? ''
})
afterEach(() => house[Symbol.asyncDispose]())

const tokenOf = async ({ identity }: Caller, role: Role = Role.UNSPECIFIED, seconds?: number) => {
  const expiry = seconds === undefined ? {} : { expiresIn: { seconds: BigInt(seconds), nanos: 0 } }
  const { token, expiresAt } = await identity.createSandboxToken({ sandbox: 'box', role, ...expiry })
  return { token, expiresAt: expiresAt === undefined ? 0 : timestampMs(expiresAt) }
}

describe('a token', () => {
  test('reaches its own sandbox, and no other, over every door', async () => {
    const { token } = await tokenOf(operator)
    const agent = callerOf(base, token)
    expect(await agent.identity.getCaller({})).toMatchObject({ project: 'default', role: Role.MEMBER, sandbox: box })
    expect((await agent.sandboxes.listSandboxes({})).sandboxes.map(({ id }) => id)).toEqual([box])
    for (const ref of ['box', box]) {
      expect((await agent.sandboxes.getSandbox({ id: ref })).sandbox?.id).toBe(box)
      expect(
        (await ask(`${base}/v1/sandboxes/${ref}/files?path=/a`, { method: 'PUT', body: 'x', key: token })).status,
      ).toBe(200)
      const headers = { 'content-type': 'application/json' }
      const body = JSON.stringify({ command: { argv: ['echo'] } })
      const started = await ask(`${base}/v1/sandboxes/${ref}/processes`, { method: 'POST', body, headers, key: token })
      expect(started.status).toBe(200)
      expect(await tunnel(token, ref)).not.toMatch(/ 40[0-9] /)
    }
    for (const ref of ['other', other]) {
      expect(await outcome(agent.sandboxes.getSandbox({ id: ref }))).toBe('sandbox-not-found')
      expect(await outcome(agent.sandboxes.deleteSandbox({ id: ref }))).toBe('sandbox-not-found')
      expect(await outcome(agent.processes.runProcess({ sandbox: ref, command: { argv: ['true'] } }))).toBe(
        'sandbox-not-found',
      )
      expect(await outcome(agent.files.statFile({ sandbox: ref, path: '/a' }))).toBe('sandbox-not-found')
      for (const path of ['files?path=/a', 'processes/p/output']) {
        expect((await ask(`${base}/v1/sandboxes/${ref}/${path}`, { key: token })).status).toBe(404)
      }
      expect(await tunnel(token, ref)).toContain(' 404 ')
    }
    expect(await outcome(agent.sandboxes.createSandbox({}))).toBe('permission-denied')
    expect(await outcome(agent.identity.createSandboxToken({ sandbox: 'box' }))).toBe('permission-denied')
    expect((await ask(`${base}/metrics`, { key: token })).status).toBe(403)
    const watched = agent.sandboxes.watchSandboxes({})[Symbol.asyncIterator]()
    expect(await watched.next()).toMatchObject({ value: { event: { case: 'changed', value: { id: box } } } })
    expect(await watched.next()).toMatchObject({ value: { event: { case: 'synced' } } })
    await watched.return?.()
  })

  test('has the role that was asked for, never above that of who asks', async () => {
    const viewer = callerOf(base, (await tokenOf(operator, Role.VIEWER)).token)
    expect(await outcome(viewer.files.makeDirectory({ sandbox: 'box', path: '/d' }))).toBe('permission-denied')
    expect(await outcome(viewer.sandboxes.getSandbox({ id: 'box' }))).toBe('ok')
    expect(await outcome(tokenOf(operator, Role.ADMIN))).toBe('invalid-argument')
    const looker = callerOf(base, (await makeKey(operator, { role: Role.VIEWER })).secret)
    expect(await outcome(tokenOf(looker, Role.VIEWER))).toBe('permission-denied')
  })

  test('ends at its time, which is 24 hours away at most and not behind that of the key', async () => {
    const { token, expiresAt } = await tokenOf(operator, Role.VIEWER, 60)
    expect(expiresAt).toBe(clock.now() + 60_000)
    expect((await tokenOf(operator)).expiresAt).toBe(clock.now() + 24 * 3_600_000)
    expect(await outcome(tokenOf(operator, Role.VIEWER, 86_401))).toBe('invalid-argument')
    const short = callerOf(base, (await makeKey(operator, { seconds: 30 })).secret)
    expect((await tokenOf(short)).expiresAt).toBe(clock.now() + 30_000)
    const agent = callerOf(base, token)
    expect(await outcome(agent.identity.getCaller({}))).toBe('ok')
    await clock.advance(60_000)
    expect(await outcome(agent.identity.getCaller({}))).toBe('unauthenticated')
  })

  test('ends with its sandbox, and what it opened does too', async () => {
    const agent = callerOf(base, (await tokenOf(operator)).token)
    const watching = consume(agent.sandboxes.watchSandboxes({}))
    await settle()
    await operator.sandboxes.deleteSandbox({ id: 'box' })
    expect(await watching).toBe('unauthenticated')
    expect(await outcome(agent.identity.getCaller({}))).toBe('unauthenticated')
  })

  test('ends with the key that made it', async () => {
    const { id, secret } = await makeKey(operator)
    const agent = callerOf(base, (await tokenOf(callerOf(base, secret))).token)
    const watching = consume(agent.sandboxes.watchSandboxes({}))
    await settle()
    await operator.identity.revokeKey({ id })
    expect(await watching).toBe('unauthenticated')
    expect(await outcome(agent.identity.getCaller({}))).toBe('unauthenticated')
  })

  test('survives a restart of the server, and is taken by every other one', async () => {
    const { token } = await tokenOf(operator)
    await using second = await openHouse({ clock, store, node: house.node })
    const agent = callerOf(await second.listen(), token)
    expect(await outcome(agent.sandboxes.getSandbox({ id: 'box' }))).toBe('ok')
    await second.server.sandboxes.delete({ project: 'default' }, 'box')
    expect(await outcome(agent.identity.getCaller({}))).toBe('unauthenticated')
  })
})

/** How a stream ends. */
async function consume(messages: AsyncIterable<unknown>): Promise<string> {
  return outcome(
    (async () => {
      for await (const _message of messages);
    })(),
  )
}

/** The first line of what a tunnel to a port is answered with. */
async function tunnel(token: string, ref: string): Promise<string> {
  const { hostname, port } = new URL(base)
  const socket = connect(Number(port), hostname)
  socket.write(
    `GET /v1/sandboxes/${ref}/ports/8000 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n` +
      'Connection: Upgrade\r\nUpgrade: cove-tcp\r\n\r\n',
  )
  const [answer] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return answer.toString().split('\r\n')[0] ?? ''
}
