import { Agent, request } from 'node:http'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ConnectError, Code } from '@connectrpc/connect'
import { Authenticator } from './authenticator.ts'
import { keyRing } from './key-ring.ts'
import { MemoryAudit } from '../audit/memory-audit.ts'
import { PROTOCOLS, ask, call } from '../../test/support/clients.ts'
import { codeOf } from '../../test/support/code-of.ts'
import { KEY, OTHER_KEY, openHouse, type House } from '../../test/support/harness.ts'
import { callerOf, outcome } from '../../test/support/identity.ts'
import { ManualClock } from '../../test/support/manual-clock.ts'

let clock: ManualClock
let audit: MemoryAudit
let house: House
let base: string

beforeEach(async () => {
  clock = new ManualClock()
  audit = new MemoryAudit()
  house = await openHouse({ clock, audit, limits: { callsPerSecond: 10, callBurst: 100 } })
  base = await house.listen()
})
afterEach(() => house[Symbol.asyncDispose]())

describe('wrong keys', () => {
  test('ten thousand of them cost nothing but a refusal, and who has a key goes on', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 8 })
    const statuses = new Map<number, number>()
    const inBetween = new Set<string>()
    const before = process.memoryUsage().heapUsed
    const began = performance.now()
    const knock = (key: string) =>
      new Promise<void>((resolve, reject) => {
        const asked = request(`${base}/v1/sandboxes/x/files?path=/a`, {
          agent,
          headers: { authorization: `Bearer ${key}` },
        })
        asked.on('error', reject)
        asked.on('response', (answer) => {
          const { statusCode = 0 } = answer
          statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1)
          answer.resume()
          answer.on('end', resolve)
        })
        asked.end()
      })
    for (let n = 0; n < 10_000; n += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, m) => knock(`cove_${String(n + m).padStart(40, '0')}`)))
      if (n % 1_000 === 0) inBetween.add(await outcome(callerOf(base, KEY).identity.getCaller({})))
    }
    agent.destroy()
    expect([...inBetween]).toEqual(['ok'])
    expect([...statuses]).toEqual([
      [401, 30],
      [429, 9_970],
    ])
    expect((performance.now() - began) / 10_000).toBeLessThan(5)
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024)
    const refused = await audit.list({ failed: true, size: 1_000, action: 'auth/refused' })
    expect(refused.records).toHaveLength(30)
    expect(JSON.stringify(refused)).not.toContain('cove_0')
  })

  test.each(PROTOCOLS)('are told so in the words of %s, with the time to wait', async (protocol) => {
    const thief = callerOf(base, 'cove_wrong', protocol)
    for (let n = 0; n < 30; n++) expect(await outcome(thief.identity.getCaller({}))).toBe('unauthenticated')
    const error: unknown = await thief.identity.getCaller({}).catch((thrown: unknown) => thrown)
    if (!(error instanceof ConnectError)) throw new Error('no error of Connect')
    expect([error.code, codeOf(error), error.metadata.get('retry-after')]).toEqual([
      Code.ResourceExhausted,
      'rate-limited',
      '1',
    ])
    await clock.advance(1_000)
    expect(await outcome(thief.identity.getCaller({}))).toBe('unauthenticated')
    expect(await outcome(callerOf(base, KEY, protocol).identity.getCaller({}))).toBe('ok')
  })
})

describe('too many calls', () => {
  test('of one key are refused with the time to wait, over every door; another key goes on', async () => {
    for (let n = 0; n < 100; n++) expect((await call(base, 'IdentityService/GetCaller', {})).status).toBe(200)
    const unary = await call(base, 'IdentityService/GetCaller', {})
    expect([unary.status, unary.headers['retry-after'], unary.json['code']]).toEqual([429, '1', 'resource_exhausted'])
    const plain = await ask(`${base}/metrics`)
    expect([plain.status, plain.headers['retry-after'], plain.json['code']]).toEqual([429, '1', 'rate-limited'])
    expect((await call(base, 'IdentityService/GetCaller', {}, { key: OTHER_KEY })).status).toBe(200)
    await clock.advance(200)
    expect((await call(base, 'IdentityService/GetCaller', {})).status).toBe(200)
  })

  test('of strangers are refused too, and health is answered all the same', async () => {
    const statuses: number[] = []
    for (let n = 0; n < 105; n++) statuses.push((await ask(`${base}/metrics`, { key: null })).status)
    expect(statuses.filter((status) => status === 401)).toHaveLength(100)
    expect(statuses.at(-1)).toBe(429)
    expect((await ask(`${base}/healthz`, { key: null })).status).toBe(200)
  })
})

test('wrong keys from very many addresses do not fill the audit log', async () => {
  const callers = new Authenticator({
    keys: keyRing([]),
    hasProject: () => true,
    clock,
    rate: { perSecond: 0, burst: 1 },
    failures: { perSecond: 1, burst: 30 },
  })
  let noted = 0
  for (let n = 0; n < 5_000; n++) {
    const { wrongKey } = await callers.authenticate({ authorization: 'Bearer cove_wrong' }, `10.0.${n >> 8}.${n & 255}`)
    if (wrongKey === true) noted++
  }
  expect(noted).toBe(100)
})
