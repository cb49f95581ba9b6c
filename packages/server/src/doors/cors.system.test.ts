import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask } from '../../test/support/clients.ts'
import { openHouse, type House } from '../../test/support/harness.ts'

let house: House
let base: string

beforeAll(async () => {
  house = await openHouse({ allowedHosts: ['page.example'] })
  base = await house.listen()
})
afterAll(() => house[Symbol.asyncDispose]())

const origin = 'https://page.example'
const listing = '/cove.v1.SandboxService/ListSandboxes'

describe('pages of other origins', () => {
  test.each([listing, '/v1/sandboxes/x/files?path=/a', '/mcp'])('may ask whether they may ask %s', async (path) => {
    const answer = await ask(base + path, {
      key: null,
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
        'access-control-request-private-network': 'true',
      },
    })
    expect([answer.status, answer.body.length]).toEqual([204, 0])
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-methods': expect.stringContaining('PUT') as string,
      'access-control-allow-headers': expect.stringMatching(/authorization.*content-type.*connect-protocol/) as string,
      'access-control-allow-private-network': 'true',
      vary: 'origin',
    })
    expect(answer.headers).not.toHaveProperty('access-control-allow-credentials')
  })

  test('read answers and refusals when they are allowed', async () => {
    const headers = { origin, 'content-type': 'application/json' }
    const good = await ask(base + listing, { method: 'POST', headers, body: '{}' })
    const refused = await ask(base + listing, { key: 'wrong', method: 'POST', headers, body: '{}' })
    expect([good.status, refused.status]).toEqual([200, 401])
    for (const answer of [good, refused]) {
      expect(answer.headers['access-control-allow-origin']).toBe(origin)
      expect(answer.headers['access-control-expose-headers']).toContain('x-request-id')
    }
  })

  test.each(['https://evil.example', 'null', 'http://localhost:3000', 'https://page.example.evil', 'nonsense'])(
    'get nothing when they come from %s',
    async (evil) => {
      for (const method of ['OPTIONS', 'POST']) {
        const headers = { origin: evil, 'access-control-request-method': 'POST', 'content-type': 'application/json' }
        const answer = await ask(base + listing, { method, headers, body: method === 'POST' ? '{}' : '' })
        expect(answer.status).toBe(403)
        expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
      }
    },
  )

  test('get nothing under a name that the server does not answer for', async () => {
    const headers = { host: 'evil.example', origin: 'http://evil.example', 'access-control-request-method': 'POST' }
    const answer = await ask(base + listing, { key: null, method: 'OPTIONS', headers })
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([421, undefined])
  })

  test('programs are answered as ever, also when they ask for options', async () => {
    const answer = await ask(base + listing, { key: null, method: 'OPTIONS' })
    expect(answer.status).toBe(401)
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin')
  })
})
