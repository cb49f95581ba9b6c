import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PROTOCOLS, ask } from '../../test/support/clients.ts'
import { parseFrames } from '../../test/support/event-frames.ts'
import { KEY, openHouse, type House } from '../../test/support/harness.ts'
import { callerOf, makeKey, outcome, type Caller, type MadeKey } from '../../test/support/identity.ts'

let house: House
let base: string
let operator: Caller
let key: MadeKey
let box: string

beforeEach(async () => {
  house = await openHouse()
  base = await house.listen()
  operator = callerOf(base, KEY)
  key = await makeKey(operator)
  box = (await operator.sandboxes.createSandbox({ name: 'box' })).sandbox?.id ?? ''
})
afterEach(() => house[Symbol.asyncDispose]())

const revoke = () => operator.identity.revokeKey({ id: key.id })
const guest = () => house.node.stub(box)

describe('a key that is revoked ends', () => {
  test.each(PROTOCOLS)('a stream of %s with the reason', async (protocol) => {
    const { processes } = callerOf(base, key.secret, protocol)
    const streaming = outcome(
      (async () => {
        for await (const _event of processes.startProcess({ sandbox: 'box', command: { argv: ['sleep'] } }));
      })(),
    )
    await guest().until(() => guest().attached === 1)
    await revoke()
    expect(await streaming).toBe('unauthenticated')
    await guest().until(() => guest().attached === 0)
    expect(await outcome(processes.listProcesses({ sandbox: 'box' }))).toBe('unauthenticated')
  })

  test('a watch', async () => {
    const events = callerOf(base, key.secret).sandboxes.watchSandboxes({})[Symbol.asyncIterator]()
    await events.next()
    await events.next()
    await revoke()
    expect(await outcome(events.next())).toBe('unauthenticated')
  })

  test.each(PROTOCOLS)('a unary call of %s that waits', async (protocol) => {
    const { processes } = callerOf(base, key.secret, protocol)
    const running = outcome(processes.runProcess({ sandbox: 'box', command: { argv: ['sleep'] } }))
    await guest().until(() => guest().attached === 1)
    await revoke()
    expect(await running).toBe('unauthenticated')
  })

  test('an event stream with an error frame', async () => {
    const body = JSON.stringify({ command: { argv: ['sleep'] } })
    const headers = { 'content-type': 'application/json' }
    const streaming = ask(`${base}/v1/sandboxes/box/processes`, { method: 'POST', key: key.secret, body, headers })
    await guest().until(() => guest().attached === 1)
    await revoke()
    const { status, body: frames } = await streaming
    expect(status).toBe(200)
    expect(parseFrames(frames).at(-1)).toEqual({ kind: 'error', code: 'unauthenticated' })
    await guest().until(() => guest().attached === 0)
  })

  test('an upload, which changes nothing', async () => {
    const gate = Promise.withResolvers<void>()
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('some')
      await gate.promise
      for (let n = 0; n < 64; n++) yield Buffer.alloc(1024)
    }
    const upload = ask(`${base}/v1/sandboxes/box/files?path=/a`, { method: 'PUT', key: key.secret, body: slow() })
    const told = upload.then(
      ({ status }) => status,
      () => 0,
    )
    await expect.poll(() => guest().writes.length).toBe(1)
    await revoke()
    gate.resolve()
    expect([401, 0]).toContain(await told)
    expect(await guest().writes[0]).toBe('broken')
    expect(guest().files.has('/a')).toBe(false)
  })
})

test('the key that revokes itself is answered', async () => {
  const admin = await makeKey(operator, { role: 3 })
  const { identity } = callerOf(base, admin.secret)
  expect(await outcome(identity.revokeKey({ id: admin.id }))).toBe('ok')
  expect(await outcome(identity.getCaller({}))).toBe('unauthenticated')
})
