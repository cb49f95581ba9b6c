import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask, askHttp2, bare, call } from '../../test/support/clients.ts'
import { KEY, openHouse, type House } from '../../test/support/harness.ts'

let house: House
let base: string

beforeAll(async () => {
  house = await openHouse({ limits: { headersMs: 500 }, allowedHosts: ['cove.example'] })
  base = await house.listen()
})
afterAll(() => house[Symbol.asyncDispose]())

describe('keys, hosts and origins', () => {
  test.each(['/metrics', '/v1/sandboxes/x/files?path=/a', '/nothing', '/cove.v1.SandboxService/ListSandboxes'])(
    '%s needs a key',
    async (path) => {
      for (const key of [null, 'wrong', `${KEY}x`, '']) {
        const method = path.startsWith('/cove') ? 'POST' : 'GET'
        const answer = await ask(base + path, {
          key,
          method,
          headers: { 'content-type': 'application/json' },
          body: '',
        })
        expect(answer.status).toBe(401)
        expect(answer.headers['www-authenticate']).toBe('Bearer')
        expect(answer.body.toString()).toContain('Bearer')
        expect(answer.headers['x-request-id']).toMatch(/^[a-z2-7]{16}$/)
      }
    },
  )

  test.each([
    ['GET', 'application/json'],
    ['POST', 'text/plain'],
    ['DELETE', 'application/proto'],
  ])('a call that is none (%s of %s) tells a stranger nothing but that', async (method, type) => {
    const headers = { 'content-type': type }
    const answer = await ask(`${base}/cove.v1.SandboxService/CreateSandbox`, { key: null, method, headers })
    expect([answer.status, answer.json['code']]).toEqual([401, 'unauthenticated'])
    expect(answer.headers['www-authenticate']).toBe('Bearer')
  })

  test('it is not ready while no driver can make sandboxes', async () => {
    const drivers = house.node.drivers.bind(house.node)
    house.node.drivers = () => Promise.resolve([])
    const none = await ask(`${base}/readyz`, { key: null })
    expect([none.status, none.body.toString()]).toEqual([503, expect.stringContaining('cove doctor')])
    house.node.drivers = (signal) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error))
      })
    expect((await ask(`${base}/readyz`, { key: null })).body.toString()).toContain('being proven')
    house.node.drivers = drivers
    expect((await ask(`${base}/readyz`, { key: null })).status).toBe(200)
  })

  test('health needs none, and the key may come as X-API-Key', async () => {
    for (const path of ['/healthz', '/readyz']) expect((await ask(base + path, { key: null })).status).toBe(200)
    await call(base, 'SandboxService/ListSandboxes', {})
    const metrics = await ask(`${base}/metrics`, { key: null, headers: { 'x-api-key': KEY } })
    expect(metrics.body.toString()).toMatch(/^cove_http_answers_total\{door="connect",status="200"\} \d+$/m)
    expect(metrics.body.toString()).toMatch(/^cove_http_seconds_bucket\{le="\+Inf"\} \d+$/m)
  })

  test.each([
    [{ host: 'evil.example' }, 421],
    [{ host: 'localhost.evil.example' }, 421],
    [{ host: '127.0.0.1.evil.example' }, 421],
    [{ host: 'localhost:8080' }, 200],
    [{ host: '[::1]:8080' }, 200],
    [{ host: 'cove.example' }, 200],
    [{ host: 'localhost:8080', origin: 'http://evil.example' }, 403],
    [{ host: 'localhost:8080', origin: 'http://localhost:3000' }, 403],
    [{ host: 'localhost:8080', origin: 'null' }, 403],
    [{ host: 'localhost:8080', origin: 'http://localhost:8080' }, 200],
    [{ host: 'localhost:8080', origin: 'https://cove.example' }, 200],
  ])('headers %j are answered with %i', async (headers, status) => {
    expect((await ask(`${base}/metrics`, { headers })).status).toBe(status)
    const listed = await call(base, 'SandboxService/ListSandboxes', {}, { headers })
    expect(listed.status).toBe(status)
  })

  test('a request id that is not sane is replaced', async () => {
    const sane = await ask(`${base}/healthz`, { headers: { 'x-request-id': 'a.b-C_1' } })
    expect(sane.headers['x-request-id']).toBe('a.b-C_1')
    const made = await ask(`${base}/healthz`, { headers: { 'x-request-id': 'a b"' } })
    expect(made.headers['x-request-id']).toMatch(/^[a-z2-7]{16}$/)
  })
})

const singly = (text: string): string[] => text.split('')

describe('one port', () => {
  test('both protocols, also when the first bytes come one by one', async () => {
    expect(await askHttp2(base, '/metrics')).toBe(200)
    const head = `GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
    expect(await bare(base, [...singly(head.slice(0, 20)), head.slice(20)])).toMatch(/^HTTP\/1.1 200 OK/)
    expect(await bare(base, singly(`PRI / HTTP/1.1\r\n\r\n`))).toMatch(/^HTTP\/1.1 4/)
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
    const answer = await bare(base, [...singly(preface), settings], /.{9}/s)
    expect(Buffer.from(answer, 'latin1')[3]).toBe(4)
  })

  test('a request in the same packet as its successor is answered too', async () => {
    const one = `GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`
    const two = `GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
    const answers = await bare(base, [one + two])
    expect(answers.match(/HTTP\/1.1 200 OK/g)).toHaveLength(2)
  })

  test('a connection that says nothing, or never finishes its headers, is closed', async () => {
    expect(await bare(base, [])).toBe('')
    expect(await bare(base, ['PRI * HT'])).toBe('')
    expect(await bare(base, ['GET /healthz HTTP/1.1\r\nHost: loc'])).toMatch(/^(HTTP\/1.1 408|$)/)
  })

  test('huge headers are refused', async () => {
    const big = 'x'.repeat(20_000)
    const answer = await bare(base, [`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Big: ${big}\r\n\r\n`])
    expect(answer).toMatch(/^HTTP\/1.1 431/)
    expect(await askHttp2(base, '/healthz', { 'x-big': big })).toBe(431)
    expect((await ask(`${base}/healthz`)).status).toBe(200)
  })
})
