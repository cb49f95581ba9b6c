import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { Readable } from 'node:stream'
import type { Cove, Sandbox } from '@cove/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TestDaemon } from './support/daemon.ts'
import { askHost, type Asked } from './support/preview-client.ts'
import { PREVIEW_SERVER } from './support/preview-server.ts'
import { startNodeServer } from './support/sandbox-server.ts'

let daemon: TestDaemon
let cove: Cove
let sandbox: Sandbox
let key: { readonly authorization: string }

beforeAll(async () => {
  daemon = await TestDaemon.start()
  cove = daemon.client()
  sandbox = await cove.sandboxes.create()
  await startNodeServer(sandbox, PREVIEW_SERVER)
  key = { authorization: `Bearer ${daemon.apiKey}` }
})
afterAll(() => daemon[Symbol.asyncDispose]())

const hostOf = (port: number, id = sandbox.id): string => `${port}-${id}.localhost:${new URL(daemon.url).port}`
const ask = (path: string, asked: Asked = {}, port = 8000) => askHost(daemon.url, hostOf(port), path, asked)
/** With the operator's key. */
const open = (path: string, asked: Asked = {}, port = 8000) =>
  ask(path, { ...asked, headers: { ...key, ...asked.headers } }, port)

interface Echo {
  readonly method: string
  readonly url: string
  readonly headers: readonly string[]
}

function headersOf(text: string): Record<string, string> {
  const { headers } = JSON.parse(text) as Echo
  const found: Record<string, string> = {}
  for (let at = 0; at < headers.length; at += 2) found[headers[at]?.toLowerCase() ?? ''] = headers[at + 1] ?? ''
  return found
}

describe('what goes in', () => {
  it('any method, path and query arrive as they were sent', async () => {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const { text } = await open('/echo?a=1&token=mine&b=%20', { method })
      expect(JSON.parse(text)).toMatchObject({ method, url: '/echo?a=1&token=mine&b=%20' })
    }
  })

  it('headers of the connection, credentials and what a client says of itself stay outside', async () => {
    const { text } = await open('/echo', {
      headers: {
        'x-api-key': daemon.apiKey,
        'cove-key': daemon.apiKey,
        connection: 'keep-alive, x-private',
        'x-private': 'of this connection',
        'x-forwarded-for': '6.6.6.6',
        forwarded: 'for=6.6.6.6',
        cookie: 'mine=1; cove-preview=whatever; other=2',
        'x-kept': 'yes',
      },
    })
    const headers = headersOf(text)
    expect(text).not.toContain(daemon.apiKey)
    expect(text).not.toContain('6.6.6.6')
    expect(headers).toMatchObject({
      host: hostOf(8000),
      'x-kept': 'yes',
      cookie: 'mine=1; other=2',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-host': hostOf(8000),
      'x-forwarded-proto': 'http',
      forwarded: `for=127.0.0.1;host="${hostOf(8000)}";proto=http`,
    })
    expect(headers['x-private']).toBeUndefined()
    expect(headers['cove-key']).toBeUndefined()
  })

  it("the program's own credentials go in when ours come beside them", async () => {
    const headers = { 'cove-key': daemon.apiKey, authorization: 'Bearer of-the-program', 'x-api-key': 'its-own' }
    const { text } = await ask('/echo', { headers })
    expect(headersOf(text)).toMatchObject({ authorization: 'Bearer of-the-program', 'x-api-key': 'its-own' })
  })

  it('a program that cannot choose its host says where to in headers', async () => {
    const { hostname, port } = new URL(daemon.url)
    const headers = { ...key, 'cove-sandbox': sandbox.id, 'cove-port': '8000' }
    const { text } = await askHost(daemon.url, `${hostname}:${port}`, '/echo', { headers })
    expect(headersOf(text)).toMatchObject({ host: 'localhost:8000', 'x-forwarded-host': `${hostname}:${port}` })
    expect(text.toLowerCase()).not.toContain('cove-sandbox')
    const bad = await askHost(daemon.url, `${hostname}:${port}`, '/echo', { headers: { ...headers, 'cove-port': 'x' } })
    expect(bad.status).toBe(400)
    const evil = await askHost(daemon.url, 'evil', '/echo', { headers })
    expect(evil.status).toBe(421)
  })

  it('a large body arrives whole, with a length and without', async () => {
    const bytes = 128 << 20
    const chunk = Buffer.alloc(1 << 20, 3)
    const hash = createHash('sha256')
    for (let at = 0; at < bytes; at += chunk.length) hash.update(chunk)
    const sha256 = hash.digest('hex')
    for (const headers of [{ 'content-length': String(bytes) }, {}]) {
      const body = Readable.from(Array.from({ length: bytes / chunk.length }, () => chunk))
      const { text } = await open('/upload', { method: 'POST', headers, body })
      expect(JSON.parse(text)).toEqual({ bytes, sha256 })
    }
    expect((await cove.system.status()).residentBytes).toBeLessThan(400 << 20)
  })

  it('a body is asked for with 100-continue, and an early refusal is seen', async () => {
    const headers = { expect: '100-continue', 'content-length': '5' }
    const { text } = await open('/upload', { method: 'POST', headers, body: 'hello' })
    expect(JSON.parse(text)).toMatchObject({ bytes: 5 })
    const early = await open('/refuse-upload', { method: 'POST', body: Buffer.alloc(1 << 20) })
    expect([early.status, early.text]).toEqual([413, 'too large'])
  })
})

describe('what comes out', () => {
  it('statuses, reasons, and answers without a body', async () => {
    for (const code of [204, 304, 404, 500]) {
      const answer = await open(`/status?code=${code}`)
      expect([answer.status, answer.text]).toEqual([code, ''])
    }
    const head = await open('/echo', { method: 'HEAD' })
    expect([head.status, head.text, head.headers['content-type']]).toEqual([200, '', 'application/json'])
  })

  it('a large body comes whole, and one that nobody reads waits inside', async () => {
    const bytes = 256 << 20
    const { hostname, port } = new URL(daemon.url)
    const headers = { host: hostOf(8000), ...key }
    const response = await new Promise<IncomingMessage>((resolve) => {
      httpRequest({ hostname, port, path: `/big?bytes=${bytes}`, headers, agent: false }, resolve).end()
    })
    expect((await open('/connection')).status).toBe(200)
    expect((await cove.system.status()).residentBytes).toBeLessThan(400 << 20)
    let received = 0
    for await (const chunk of response) received += (chunk as Buffer).length
    expect(received).toBe(bytes)
  })

  it('events come when they are sent', async () => {
    const { hostname, port } = new URL(daemon.url)
    const headers = { host: hostOf(8000), ...key }
    const response = await new Promise<IncomingMessage>((resolve) => {
      httpRequest({ hostname, port, path: '/events', headers, agent: false }, resolve).end()
    })
    const [first] = (await once(response, 'data')) as [Buffer]
    expect(first.toString()).toBe('data: first\n\n')
    const rest = response.toArray() as Promise<Buffer[]>
    await open('/emit')
    expect(Buffer.concat(await rest).toString()).toBe('data: second\n\n')
  })

  it('trailers, and cookies that stay with their host', async () => {
    const { text, trailers } = await open('/trailers', { headers: { te: 'trailers' } })
    expect([text, trailers['x-sum']]).toEqual(['body', '42'])
    const { headers } = await open('/cookies')
    expect(headers['set-cookie']).toEqual(['a=1; Path=/', 'b=2; HttpOnly'])
    expect(headers['alt-svc']).toBeUndefined()
  })

  it('connections to the server are used again', async () => {
    const ports = new Set<string>()
    for (let at = 0; at < 5; at++) ports.add((await open('/connection')).text)
    expect(ports.size).toBe(1)
  })

  it('HTTP/2 clients get the same', async () => {
    const session = connectHttp2(daemon.url)
    const stream = session.request({
      ':method': 'POST',
      ':authority': hostOf(8000),
      ':path': '/upload',
      ...key,
    })
    stream.end('hello over two')
    expect(JSON.parse(Buffer.concat((await stream.toArray()) as Buffer[]).toString())).toMatchObject({ bytes: 14 })
    const echo = session.request({ ':authority': hostOf(8000), ':path': '/echo', ...key, cookie: ['a=1', 'b=2'] })
    const text = Buffer.concat((await echo.toArray()) as Buffer[]).toString()
    expect(headersOf(text)).toMatchObject({ host: hostOf(8000), cookie: 'a=1; b=2' })
    session.close()
  })
})

describe('what does not work', () => {
  it.each([
    [7999, 'connection-refused', 502],
    [8022, 'connection-lost', 502],
  ])('port %i is answered with %s, to people as a page', async (port, code, status) => {
    const answer = await open('/', {}, port)
    expect(answer.status).toBe(status)
    expect(JSON.parse(answer.text)).toMatchObject({ code, fix: expect.any(String) })
    const page = await open('/', { headers: { accept: 'text/html' } }, port)
    expect(page.status).toBe(status)
    expect(page.headers['content-type']).toContain('text/html')
    expect(page.headers['content-security-policy']).toContain("default-src 'none'")
    expect(page.text).toContain('<!doctype html>')
  })

  it('a sandbox that is stopped and one that is deleted say so', async () => {
    const other = await cove.sandboxes.create({ name: 'short-lived' })
    await startNodeServer(other, PREVIEW_SERVER)
    const at = (headers = {}) =>
      askHost(daemon.url, hostOf(8000, other.id), '/connection', { headers: { ...key, ...headers } })
    expect((await at()).status).toBe(200)
    await other.stop()
    const stopped = await at()
    expect(stopped.status).toBe(503)
    expect(JSON.parse(stopped.text)).toMatchObject({ code: 'wrong-state', fix: expect.stringContaining('cove start') })
    await cove.sandboxes.start(other.id)
    expect((await at()).status).toBe(502)
    await startNodeServer(other, PREVIEW_SERVER)
    expect((await at()).status).toBe(200)
    await other.delete()
    const gone = await at()
    expect(gone.status).toBe(410)
    expect(JSON.parse(gone.text)).toMatchObject({ code: 'sandbox-gone' })
  })

  it.each(['0-', '08000-', '65536-', '-', 'x-'])('a host that begins with %j is nobody here', async (prefix) => {
    expect((await askHost(daemon.url, `${prefix}${sandbox.id}.localhost`, '/')).status).toBe(421)
  })

  it('Host: evil is refused, and so are other domains', async () => {
    for (const host of ['evil', `8000-${sandbox.id}.evil`, `8000-${sandbox.id}.localhost.evil`]) {
      expect((await askHost(daemon.url, host, '/', { headers: key })).status).toBe(421)
    }
  })
})
