import { timestampMs } from '@bufbuild/protobuf/wkt'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Role, SignFileUrlRequest_Operation as Operation } from '@cove/api'
import type { Log } from '@cove/domain'
import { MemoryAudit } from '../../audit/memory-audit.ts'
import { ask } from '../../../test/support/clients.ts'
import { KEY, openHouse, type House } from '../../../test/support/harness.ts'
import { callerOf, makeKey, outcome, type Caller } from '../../../test/support/identity.ts'
import { ManualClock } from '../../../test/support/manual-clock.ts'

let clock: ManualClock
let audit: MemoryAudit
let house: House
let base: string
let operator: Caller
let box: string
let logged: string

beforeEach(async () => {
  clock = new ManualClock()
  audit = new MemoryAudit()
  logged = ''
  const write = (message: string, fields?: object): void => void (logged += `${message} ${JSON.stringify(fields)}\n`)
  const log: Log = { debug: write, info: write, warn: write, error: write, child: () => log }
  house = await openHouse({ clock, audit, log, defaults: { idleTimeoutMs: 'never' } })
  base = await house.listen()
  operator = callerOf(base, KEY)
  box = (await operator.sandboxes.createSandbox({ name: 'box' })).sandbox?.id ?? ''
})
afterEach(() => house[Symbol.asyncDispose]())

async function sign(
  { files }: Caller,
  options: { path?: string; operation?: Operation; user?: string; seconds?: number } = {},
): Promise<{ path: string; expiresAt: number }> {
  const { path = '/a file & more?.txt', operation = Operation.READ, user = '', seconds } = options
  const expiry = seconds === undefined ? {} : { expiresIn: { seconds: BigInt(seconds), nanos: 0 } }
  const signed = await files.signFileUrl({ sandbox: 'box', path, operation, user, ...expiry })
  return { path: signed.path, expiresAt: signed.expiresAt === undefined ? 0 : timestampMs(signed.expiresAt) }
}

const open = async (path: string, options: Parameters<typeof ask>[1] = {}) => {
  const answer = await ask(base + path, { key: null, ...options })
  return { status: answer.status, body: answer.body.toString(), headers: answer.headers }
}

describe('a signed address', () => {
  test('reads one file without a key, whole and in part', async () => {
    await ask(`${base}/v1/sandboxes/box/files?path=${encodeURIComponent('/a file & more?.txt')}`, {
      method: 'PUT',
      body: 'content',
    })
    const { path } = await sign(operator)
    expect(path.startsWith(`/v1/sandboxes/${box}/files?`)).toBe(true)
    expect(await open(path)).toMatchObject({ status: 200, body: 'content' })
    expect(await open(path, { headers: { range: 'bytes=2-3' } })).toMatchObject({ status: 206, body: 'nt' })
    expect(await open(path, { method: 'HEAD' })).toMatchObject({ status: 200, body: '' })
    expect(await open(path, { method: 'PUT', body: 'x' })).toMatchObject({ status: 403 })
  })

  test('writes one file, and that is written down', async () => {
    const { path } = await sign(operator, { path: '/up', operation: Operation.WRITE })
    expect(await open(path, { method: 'PUT', body: 'new' })).toMatchObject({ status: 200 })
    expect(await open(path)).toMatchObject({ status: 403 })
    expect((await ask(`${base}/v1/sandboxes/box/files?path=/up`)).body.toString()).toBe('new')
    const { records } = await audit.list({ failed: false, size: 10, action: 'files/put' })
    expect(records).toMatchObject([
      { key: 'test', target: box, outcome: 'ok', details: { path: '/up', signed: 'true' } },
    ])
  })

  test('opens nothing when anything of it was changed', async () => {
    await ask(`${base}/v1/sandboxes/box/files?path=/a`, { method: 'PUT', body: 'x' })
    const { path } = await sign(operator, { path: '/a', user: 'user' })
    expect((await open(path)).status).toBe(200)
    const [place, query = ''] = path.split('?')
    const parts = new URLSearchParams(query)
    const tampered: string[] = [
      `${path}&mode=777`,
      `${path}&path=/b`,
      `${path}&path=/a`,
      path.replace(box, 'box'),
      path.replace(box, 'aaaaaaaaaaaaaaaa'),
    ]
    for (const [name, value] of parts) {
      const without = new URLSearchParams(query)
      without.delete(name)
      if (name !== 'signature') tampered.push(`${place}?${without.toString()}`)
      for (const other of [`${value}x`, value.slice(0, -1), '']) {
        const changed = new URLSearchParams(query)
        changed.set(name, other)
        if (other !== value) tampered.push(`${place}?${changed.toString()}`)
      }
    }
    // Of the last character of the signature four bits count: the other spellings are no signatures.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = alphabet.indexOf(path.at(-1) ?? '')
    tampered.push(path.slice(0, -1) + (alphabet[last ^ 1] ?? ''))
    for (const one of tampered) {
      await clock.advance(1_000)
      expect([one, (await open(one)).status]).toEqual([one, 403])
    }
  })

  test('opens until it expires, for a week at most', async () => {
    await ask(`${base}/v1/sandboxes/box/files?path=/a`, { method: 'PUT', body: 'x' })
    const { path, expiresAt } = await sign(operator, { path: '/a' })
    expect(expiresAt).toBe(clock.now() + 3_600_000)
    await clock.advance(3_599_000)
    expect((await open(path)).status).toBe(200)
    await clock.advance(1_000)
    expect(await open(path)).toMatchObject({ status: 403, body: expect.stringContaining('expired') })
    expect(await outcome(sign(operator, { seconds: 7 * 86_400 }))).toBe('ok')
    expect(await outcome(sign(operator, { seconds: 7 * 86_400 + 1 }))).toBe('invalid-argument')
  })

  test('ends with its sandbox, and with the key or token that signed', async () => {
    await ask(`${base}/v1/sandboxes/box/files?path=/a`, { method: 'PUT', body: 'x' })
    const { id, secret } = await makeKey(operator)
    const member = callerOf(base, secret)
    const { token } = await member.identity.createSandboxToken({
      sandbox: 'box',
      expiresIn: { seconds: 60n, nanos: 0 },
    })
    const agent = callerOf(base, token)
    const [mine, theirs] = [await sign(member, { path: '/a' }), await sign(agent, { path: '/a' })]
    expect(theirs.expiresAt).toBe(clock.now() + 60_000)
    for (const { path } of [mine, theirs]) expect((await open(path)).status).toBe(200)
    await operator.identity.revokeKey({ id })
    for (const { path } of [mine, theirs]) expect((await open(path)).status).toBe(403)
    const { path } = await sign(operator, { path: '/a' })
    await operator.sandboxes.deleteSandbox({ id: 'box' })
    expect((await open(path)).status).toBe(410)
  })

  test('is signed by whoever may do what it allows', async () => {
    const viewer = callerOf(base, (await makeKey(operator, { role: Role.VIEWER })).secret)
    expect(await outcome(sign(viewer))).toBe('ok')
    expect(await outcome(sign(viewer, { operation: Operation.WRITE }))).toBe('permission-denied')
    expect(await outcome(sign(operator, { path: 'relative' }))).toBe('path-invalid')
    expect(await outcome(sign(operator, { operation: 9 as Operation }))).toBe('invalid-argument')
  })

  test('is for the pages of every origin, and only it is', async () => {
    await ask(`${base}/v1/sandboxes/box/files?path=/a`, { method: 'PUT', body: 'x' })
    const { path } = await sign(operator, { path: '/a' })
    const origin = { origin: 'https://elsewhere.example' }
    const answer = await open(path, { headers: origin })
    expect(answer).toMatchObject({ status: 200, headers: { 'access-control-allow-origin': '*' } })
    expect(answer.headers['access-control-allow-credentials']).toBeUndefined()
    const asked = await open(path, {
      method: 'OPTIONS',
      headers: { ...origin, 'access-control-request-method': 'PUT' },
    })
    expect(asked).toMatchObject({ status: 204, headers: { 'access-control-allow-methods': 'GET, HEAD, PUT' } })
    expect((await open('/v1/sandboxes/box/files?path=/a', { headers: origin })).status).toBe(403)
    expect((await ask(`${base}/v1/sandboxes/box/files?path=/a`, { headers: origin })).status).toBe(403)
    expect((await open(path, { headers: { host: 'evil.example' } })).status).toBe(421)
  })

  test('needs no key, and a key does not mend it', async () => {
    const { path } = await sign(operator, { path: '/a' })
    expect((await ask(`${base}${path}x`)).status).toBe(403)
  })

  test('is guessed at a few times only', async () => {
    const { path } = await sign(operator, { path: '/a' })
    const wrong = path.replace(/signature=.*/, `signature=${'A'.repeat(43)}`)
    const statuses: number[] = []
    for (let n = 0; n < 50; n++) statuses.push((await open(wrong)).status)
    expect(statuses.filter((status) => status === 403)).toHaveLength(30)
    expect(statuses.at(-1)).toBe(429)
  })

  test('stays out of the log', async () => {
    const { path } = await sign(operator, { path: '/a' })
    await open(path)
    await open(`${path}x`)
    const signature = /signature=(.*)/.exec(path)?.[1] ?? 'none'
    expect(logged).toContain(`/v1/sandboxes/${box}/files`)
    expect(logged).not.toContain(signature)
    const { records } = await audit.list({ failed: false, size: 100 })
    expect(JSON.stringify(records)).not.toContain(signature)
    expect(records[0]).toMatchObject({ action: 'FileService/SignFileUrl', details: { path: '/a', operation: 'read' } })
  })
})
