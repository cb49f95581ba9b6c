import { once } from 'node:events'
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ask, bare, call } from '../../../test/support/clients.ts'
import { ANSWER, serveGuest, type GuestServer } from '../../../test/support/guest-server.ts'
import { KEY, openHouse, type House } from '../../../test/support/harness.ts'
import { BrokenUpload } from '../../../test/support/raw-http2.ts'

let house: House
let base: string
let host: string
let server: GuestServer
let heardBefore = 0
let answer: (heard: string, socket: Socket) => string

beforeAll(async () => {
  house = await openHouse()
  base = await house.listen()
  const { json } = await call(base, 'SandboxService/CreateSandbox', { name: 'inside' })
  const { id } = json['sandbox'] as { id: string }
  host = `3000-${id}.localhost`
  server = await serveGuest(house, id, (heard, socket) => answer(heard, socket))
})
beforeEach(() => {
  heardBefore = server.heard.length
  answer = () => ANSWER
})
afterAll(async () => {
  await house[Symbol.asyncDispose]()
  server[Symbol.dispose]()
})

const heard = (): string => server.heard.slice(heardBefore).join('')
const opened = (): string => `Host: ${host}\r\nAuthorization: Bearer ${KEY}\r\n`
const authority = (): Record<string, string> => ({ ':authority': host, authorization: `Bearer ${KEY}` })

async function overHttp2<T>(tell: (session: ClientHttp2Session) => Promise<T>): Promise<T> {
  const session = connectHttp2(base)
  session.on('error', () => undefined)
  try {
    return await tell(session)
  } finally {
    session.destroy()
  }
}

const INNER = 'GET /secret HTTP/1.1\r\nHost: x\r\n\r\n'

test('no way of writing a request lets a second one in', async () => {
  for (const odd of [
    `Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${INNER}`,
    `Content-Length: 0\r\nContent-Length: ${INNER.length}\r\n\r\n${INNER}`,
    `Transfer-Encoding: xchunked\r\n\r\n${INNER}`,
    `Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    `Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${INNER}`,
    `Host: other\r\n\r\n`,
    `X: a\r\n Content-Length: 3\r\n\r\nabc`,
    `X: a\nContent-Length: 3\r\n\r\nabc`,
  ]) {
    await bare(base, [`POST / HTTP/1.1\r\n${opened()}${odd}`], /\r\n\r\n/)
  }
  expect(heard()).toBe('')
  await bare(
    base,
    [`POST / HTTP/1.1\r\n${opened()}Connection: content-length\r\nContent-Length: ${INNER.length}\r\n\r\n${INNER}`],
    /\r\n\r\nok/,
  )
  // One request with a body, said so.
  expect(heard()).toContain(`content-length: ${INNER.length}\r\n`)
})

test('what follows an offer of HTTP/2 is a request of its own, and is looked at as one', async () => {
  const offer = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'
  const second = `GET /second HTTP/1.1\r\n${opened()}X-Forwarded-For: 6.6.6.6\r\n`
  const pieces = [`GET /first HTTP/1.1\r\n${opened()}${offer}\r\n`, `${second}Connection: close\r\n\r\n`]
  expect(await bare(base, pieces)).toMatch(/ok[^]*ok$/)
  expect(heard()).toContain('GET /second')
  for (const leaked of [KEY, 'h2c', '6.6.6.6']) expect(heard()).not.toContain(leaked)
  await bare(base, [`GET /third HTTP/1.1\r\n${opened()}Connection: Upgrade\r\nUpgrade: h2c, echo\r\n\r\n`], /ok/)
  expect(heard()).toMatch(/GET \/third[^]*\r\nupgrade: echo\r\n/)
})

test('HTTP/2 clients cannot write what HTTP/1.1 would read otherwise', async () => {
  await overHttp2(async (session) => {
    for (const odd of [{ ':path': '/ HTTP/1.1\r\nx: y' }, { ':path': '/a b' }, { ':path': 'http://evil/' }]) {
      const stream = session.request({ ...authority(), ...odd })
      const outcome = await once(stream.resume(), 'response').then(
        ([headers]) => (headers as Record<string, unknown>)[':status'],
        () => 'broken off',
      )
      expect([400, 'broken off']).toContain(outcome)
    }
  })
  expect(heard()).toBe('')
})

test('an upload that its client breaks off is not passed on as a whole one', async () => {
  answer = () => ''
  const { ended } = server
  using upload = new BrokenUpload(base, { ':path': '/upload', ...authority() }, 'half')
  await expect.poll(heard).toContain('half')
  upload.breakOff()
  await expect.poll(() => server.ended).toBeGreaterThan(ended)
  expect(heard()).not.toContain('0\r\n\r\n')
})

test('what answers against the rules is refused, and what it sent is not passed on', async () => {
  answer = () =>
    'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'
  const refused = await ask(base, { headers: { host } })
  expect(refused.status).toBe(502)
  expect(refused.json).toMatchObject({ code: 'connection-lost' })
  answer = () => 'HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\nPRI * HTTP/2.0'
  expect((await ask(base, { headers: { host } })).status).toBe(502)
  // Behind the end of an answer nothing is anybody's, least of all the next one's.
  answer = () => `${ANSWER}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil`
  expect(String((await ask(base, { headers: { host } })).body)).toBe('ok')
  answer = () => ANSWER
  expect(String((await ask(base, { headers: { host } })).body)).toBe('ok')
})

test('odd headers of an answer arrive as they are, once, in both versions of HTTP', async () => {
  const odd = 'content-length: 2\r\nContent-Length: 02\r\nconstructor: x\r\ncontent-type: a\r\ncontent-type: b'
  answer = () => `HTTP/1.1 200 OK\r\n${odd}\r\n\r\nok`
  const { headers } = await ask(base, { headers: { host } })
  expect(headers).toMatchObject({ 'content-length': '2', constructor: 'x' })
  const told = await overHttp2(async (session) => (await once(session.request(authority()).resume(), 'response'))[0])
  expect(told).toMatchObject({ ':status': 200, 'content-length': '2', constructor: 'x', 'content-type': 'a, b' })
  answer = () => 'HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\n'
  expect((await ask(base, { headers: { host } })).headers['content-length']).toBeUndefined()
})

test('an answer that breaks off is no whole one, to old clients and behind an upgrade either', async () => {
  const cases = [
    [`GET / HTTP/1.0\r\n${opened()}\r\n`, ''],
    [`GET / HTTP/1.1\r\n${opened()}Connection: Upgrade\r\nUpgrade: echo\r\n\r\n`, ''],
    [`GET / HTTP/1.1\r\n${opened()}Connection: Upgrade\r\nUpgrade: echo\r\n\r\n`, '101'],
  ] as const
  for (const [request, status] of cases) {
    answer = () =>
      status === '101'
        ? 'HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\n\r\nhalf'
        : 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n'
    const { hostname, port } = new URL(base)
    const socket = connect(Number(port), hostname)
    socket.write(request)
    let text = ''
    socket.on('data', (chunk) => (text += chunk.toString('latin1')))
    const failed = once(socket, 'error')
    await expect.poll(() => text).toContain('half')
    if (status === '101') await call(base, 'SandboxService/StopSandbox', { id: 'inside' })
    else server.cut()
    expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
  }
})
