import { once } from 'node:events'
import { connect } from 'node:net'
import type { Cove, Sandbox } from '@cove/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { TestDaemon } from './support/daemon.ts'
import { askHost, type Answer } from './support/preview-client.ts'
import { PREVIEW_SERVER } from './support/preview-server.ts'
import { startNodeServer } from './support/sandbox-server.ts'

let daemon: TestDaemon
let cove: Cove
let sandbox: Sandbox

beforeAll(async () => {
  daemon = await TestDaemon.start()
  cove = daemon.client()
  sandbox = await cove.sandboxes.create()
  await startNodeServer(sandbox, PREVIEW_SERVER)
})
afterAll(() => daemon[Symbol.asyncDispose]())

const portOf = () => new URL(daemon.url).port
const hostOf = (id = sandbox.id, port = 8000): string => `${port}-${id}.localhost:${portOf()}`
const ask = (path: string, headers: Record<string, string> = {}, host = hostOf()) =>
  askHost(daemon.url, host, path, { headers })
const unused = 'abcdefghijklmnop'

interface Called {
  readonly status: number
  readonly answer: Record<string, unknown>
}

async function call(method: string, body: object, key = daemon.apiKey): Promise<Called> {
  const response = await fetch(`${daemon.url}/cove.v1.${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  })
  const answer = (await response.json()) as Record<string, unknown>
  return { status: response.status, answer }
}

async function link(path = '/', more: object = {}): Promise<URL> {
  const { answer } = await call('PortService/CreatePreviewUrl', { sandbox: sandbox.id, port: 8000, path, ...more })
  return new URL(String(answer['url']))
}

const cookieOf = ({ headers }: Answer): string => headers['set-cookie']?.[0]?.split(';')[0] ?? ''

async function logIn(): Promise<string> {
  const { pathname, search } = await link()
  return cookieOf(await ask(pathname + search))
}

/** What two answers have in common when the callers cannot tell them apart. */
function told({ status, headers, text }: Answer, id: string): unknown {
  const { 'x-request-id': requestId, date: _date, ...rest } = headers
  return { status, rest, text: text.replaceAll(String(requestId), '').replaceAll(id, '') }
}

const dial = (headers: Record<string, string>, path = '/socket'): WebSocket =>
  new WebSocket(`ws://127.0.0.1:${portOf()}${path}`, { headers: { host: hostOf(), ...headers } })

async function refusal(socket: WebSocket): Promise<number | undefined> {
  socket.on('error', () => undefined)
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode?: number }]
  socket.terminate()
  return response.statusCode
}

async function talk(socket: WebSocket): Promise<string> {
  await once(socket, 'open')
  socket.send('hello')
  const [data] = (await once(socket, 'message')) as [Buffer]
  socket.close()
  await once(socket, 'close')
  return data.toString()
}

describe('a port that nobody has shared', () => {
  it('is closed to strangers, and so is one that does not exist, in the same words', async () => {
    for (const headers of [{}, { accept: 'text/html' }, { cookie: 'cove-preview=cvc1.x.y' }]) {
      const [real, none] = await Promise.all([ask('/', headers), ask('/', headers, hostOf(unused))])
      expect(real.status).toBe(401)
      expect(told(real, sandbox.id)).toEqual(told(none, unused))
    }
  })

  it('to the key of another project it does not exist', async () => {
    await call('IdentityService/CreateProject', { name: 'elsewhere' })
    const { answer } = await call('IdentityService/CreateKey', {
      project: 'elsewhere',
      name: 'spy',
      role: 'ROLE_ADMIN',
    })
    const authorization = `Bearer ${String(answer['secret'])}`
    const [foreign, none] = await Promise.all([
      ask('/', { authorization }),
      ask('/', { authorization }, hostOf(unused)),
    ])
    expect(foreign.status).toBe(404)
    expect(told(foreign, sandbox.id)).toEqual(told(none, unused))
    for (const method of ['ListPorts', 'SharePort', 'UnsharePort', 'CreatePreviewUrl']) {
      const asked = { sandbox: sandbox.id, ...(method === 'ListPorts' ? {} : { port: 8000 }) }
      const refused = await call(`PortService/${method}`, asked, String(answer['secret']))
      expect([method, refused.status]).toEqual([method, 404])
    }
  })

  it('a wrong key is a wrong key', async () => {
    expect((await ask('/', { authorization: 'Bearer cove_wrong' })).status).toBe(401)
  })
})

describe('a preview link', () => {
  it('becomes a cookie of its host, and the token leaves the address', async () => {
    const { pathname, search, host } = await link('/echo?a=1&b=2')
    expect(host).toBe(hostOf())
    const first = await ask(pathname + search)
    expect(first.status).toBe(303)
    expect(first.headers.location).toBe(`http://${hostOf()}/echo?a=1&b=2`)
    expect(first.headers['set-cookie']?.[0]).toMatch(/; Path=\/; Max-Age=3[56]\d\d; HttpOnly; SameSite=Lax$/)
    expect(first.headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
    const page = await ask('/echo?a=1&b=2', { cookie: `app=1; ${cookieOf(first)}` })
    expect(JSON.parse(page.text)).toMatchObject({ url: '/echo?a=1&b=2' })
    expect(page.text).not.toContain('cove-preview')
  })

  it('is good once', async () => {
    const { pathname, search } = await link()
    expect((await ask(pathname + search)).status).toBe(303)
    const again = await ask(pathname + search, { accept: 'text/html' })
    expect(again.status).toBe(403)
    expect(again.headers['set-cookie']).toBeUndefined()
    expect(again.text).toContain('used already')
  })

  it('is good for its own host only, and its cookie too', async () => {
    const { pathname, search } = await link()
    expect((await ask(pathname + search, {}, hostOf(sandbox.id, 8001))).status).toBe(403)
    expect((await ask(pathname + search, {}, hostOf(unused))).status).toBe(403)
    const first = await ask(pathname + search)
    expect(first.status).toBe(303)
    expect((await ask('/', { cookie: cookieOf(first) }, hostOf(sandbox.id, 8001))).status).toBe(401)
  })

  it('one that somebody has changed is worth nothing, and a path with two slashes stays here', async () => {
    const { search } = await link()
    const changed = search.slice(0, -2) + (search.at(-2) === 'A' ? 'BA' : 'AA')
    expect((await ask(`/${changed}`)).status).toBe(403)
    const odd = await ask(`//evil.example/${search}`)
    expect(odd.headers.location).toBe(`http://${hostOf()}//evil.example/`)
  })

  it('lasts as long as was asked, within bounds, and ends with the key that made it', async () => {
    const { pathname, search } = await link('/', { expiresIn: '60s' })
    expect((await ask(pathname + search)).headers['set-cookie']?.[0]).toMatch(/Max-Age=(59|60);/)
    for (const bad of [{ expiresIn: '0s' }, { expiresIn: '90000s' }, { path: 'x' }, { path: '/\r\n' }, { port: 0 }]) {
      const { status } = await call('PortService/CreatePreviewUrl', { sandbox: sandbox.id, port: 8000, ...bad })
      expect([bad, status]).toEqual([bad, 400])
    }
    const { answer } = await call('IdentityService/CreateKey', { name: 'brief', role: 'ROLE_MEMBER' })
    const made = await call(
      'PortService/CreatePreviewUrl',
      { sandbox: sandbox.id, port: 8000 },
      String(answer['secret']),
    )
    const cookie = cookieOf(await ask(`/${new URL(String(made.answer['url'])).search}`))
    expect((await ask('/', { cookie })).status).toBe(200)
    await call('IdentityService/RevokeKey', { id: (answer['key'] as { id: string }).id })
    expect((await ask('/', { cookie })).status).toBe(401)
  })

  it('what other pages make a browser send is refused, a link that is followed is not', async () => {
    const cookie = await logIn()
    const other = 'http://8000-aaaaaaaaaaaaaaaa.localhost'
    expect((await ask('/', { cookie, 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors' })).status).toBe(403)
    const posted = { method: 'POST', headers: { cookie, origin: other } }
    expect((await askHost(daemon.url, hostOf(), '/upload', posted)).status).toBe(403)
    expect((await ask('/', { cookie, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' })).status).toBe(200)
    const own = { method: 'POST', headers: { cookie, origin: `http://${hostOf()}` } }
    expect((await askHost(daemon.url, hostOf(), '/upload', own)).status).toBe(200)
  })
})

describe('a WebSocket', () => {
  it('opens with a key, whatever its origin, and with the cookie from its own page', async () => {
    expect(await talk(dial({ authorization: `Bearer ${daemon.apiKey}` }))).toBe('echo hello')
    const cookie = await logIn()
    expect(await talk(dial({ cookie, origin: `http://${hostOf()}` }))).toBe('echo hello')
  })

  it('with the cookie it is refused without an Origin and with a foreign one', async () => {
    const cookie = await logIn()
    expect(await refusal(dial({ cookie }))).toBe(403)
    for (const origin of [
      'http://evil.example',
      'null',
      `http://8001-${sandbox.id}.localhost:${portOf()}`,
      daemon.url,
    ]) {
      expect(await refusal(dial({ cookie, origin }))).toBe(403)
    }
  })

  it('is refused to strangers, and where the server does not want it its answer is told', async () => {
    expect(await refusal(dial({ origin: `http://${hostOf()}` }))).toBe(401)
    expect(await refusal(dial({ authorization: `Bearer ${daemon.apiKey}` }, '/no-socket'))).toBe(400)
  })

  it('other protocols work the same, with what was sent ahead', async () => {
    const socket = connect(Number(portOf()), '127.0.0.1')
    const head = `GET / HTTP/1.1\r\nhost: ${hostOf()}\r\nauthorization: Bearer ${daemon.apiKey}\r\n`
    socket.end(`${head}connection: Upgrade\r\nupgrade: shout\r\n\r\nahead `)
    const text = Buffer.concat((await socket.toArray()) as Buffer[]).toString()
    expect(text).toMatch(/^HTTP\/1\.1 101 /)
    expect(text).toMatch(/SHOUT:AHEAD BYE$/)
  })

  it('a client that offers HTTP/2 is served as it is, with its body', async () => {
    const socket = connect(Number(portOf()), '127.0.0.1')
    const head = `POST /upload HTTP/1.1\r\nhost: ${hostOf()}\r\nauthorization: Bearer ${daemon.apiKey}\r\ncontent-length: 5\r\n`
    socket.write(
      `${head}connection: close, Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\nhello`,
    )
    const text = Buffer.concat((await socket.toArray()) as Buffer[]).toString()
    expect(text).toMatch(/^HTTP\/1\.1 200 /)
    expect(text).toContain('"bytes":5')
  })

  it('ends with the sandbox', async () => {
    const other = await cove.sandboxes.create()
    await startNodeServer(other, PREVIEW_SERVER)
    const socket = dial({ host: hostOf(other.id), authorization: `Bearer ${daemon.apiKey}` })
    await once(socket, 'open')
    const closed = once(socket, 'close') as Promise<[number]>
    await other.delete()
    // Nobody was left to say goodbye.
    expect((await closed)[0]).toBe(1006)
  })
})

describe('a public port', () => {
  it('is open to everybody, also after the daemon was killed, until it is private again', async () => {
    const shared = await call('PortService/SharePort', { sandbox: sandbox.id, port: 8000, public: true })
    expect(shared.answer['port']).toMatchObject({
      port: 8000,
      public: true,
      listening: true,
      url: `http://${hostOf()}/`,
    })
    expect((await ask('/')).status).toBe(200)
    const headers = { authorization: 'Bearer cove_wrong', 'x-api-key': 'the-program-s' }
    const { text } = await ask('/echo', headers)
    expect(text).not.toContain('cove_wrong')
    expect(text).toContain('the-program-s')

    await daemon.end('SIGKILL')
    await daemon.start()
    cove = daemon.client()
    await expect.poll(async () => (await ask('/')).status).toBe(200)
    const { answer } = await call('PortService/ListPorts', { sandbox: sandbox.id })
    expect(answer['ports']).toMatchObject([
      { port: 8000, public: true, listening: true, addresses: ['127.0.0.1'] },
      { port: 8022, listening: true, addresses: ['127.0.0.1'], url: `http://${hostOf(sandbox.id, 8022)}/` },
    ])
    await call('PortService/UnsharePort', { sandbox: sandbox.id, port: 8000 })
    await call('PortService/UnsharePort', { sandbox: sandbox.id, port: 8000 })
    expect((await ask('/')).status).toBe(401)
  })

  it('before anything listens, and not after the sandbox is gone', async () => {
    const other = await cove.sandboxes.create()
    await call('PortService/SharePort', { sandbox: other.id, port: 9000, public: true })
    const { answer } = await call('PortService/ListPorts', { sandbox: other.id })
    expect(answer['ports']).toEqual([{ port: 9000, public: true, url: `http://${hostOf(other.id, 9000)}/` }])
    expect((await ask('/', {}, hostOf(other.id, 9000))).status).toBe(502)
    await other.delete()
    const [gone, none] = await Promise.all([ask('/', {}, hostOf(other.id, 9000)), ask('/', {}, hostOf(unused, 9000))])
    expect(told(gone, other.id)).toEqual(told(none, unused))
  })
})
