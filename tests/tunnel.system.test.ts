import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Cove, Sandbox } from '@cove/sdk'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { TestDaemon } from './support/daemon.ts'
import { startNodeServer } from './support/sandbox-server.ts'

/** 7001 echoes and says goodbye after the client's end; 7002 reads nothing; 7003 sends for ever. */
const SERVER = `
import { createServer } from 'node:net'
const listen = (port, handler) => new Promise((r) => createServer({ allowHalfOpen: true }, handler).listen(port, '127.0.0.1', r))
await listen(7001, (socket) => {
  socket.on('error', () => {})
  socket.on('data', (chunk) => socket.write(chunk))
  socket.on('end', () => socket.end('goodbye'))
})
await listen(7002, (socket) => { socket.on('error', () => {}); socket.pause() })
await listen(7003, (socket) => {
  socket.on('error', () => {})
  const send = () => { while (socket.write(Buffer.alloc(65536))); }
  socket.on('drain', send)
  send()
})
console.log('ready')
`

let daemon: TestDaemon
let cove: Cove
let sandbox: Sandbox

beforeAll(async () => {
  daemon = await TestDaemon.start()
  cove = daemon.client()
  sandbox = await cove.sandboxes.create()
  await startNodeServer(sandbox, SERVER)
})
afterAll(() => daemon[Symbol.asyncDispose]())

interface Tunnel {
  readonly status: number
  readonly head: string
  readonly socket: Socket
}

async function open(path: string, headers: Record<string, string> = {}): Promise<Tunnel> {
  const { hostname, port } = new URL(daemon.url)
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
  socket.on('error', () => undefined)
  const all = {
    host: `${hostname}:${port}`,
    connection: 'Upgrade',
    upgrade: 'cove-tcp',
    authorization: `Bearer ${daemon.apiKey}`,
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
  let head = ''
  while (!head.includes('\r\n\r\n')) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    head += chunk.toString('latin1')
  }
  socket.pause()
  return { status: Number(head.split(' ')[1]), head, socket }
}

async function readAll(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += (chunk as Buffer).toString('latin1')
  return text
}

const path = (port: number, ref = sandbox.id): string => `/v1/sandboxes/${ref}/ports/${port}`

it('carries bytes both ways and passes on the end of one direction by itself', async () => {
  const { status, socket } = await open(path(7001))
  expect(status).toBe(101)
  socket.end('hello ')
  expect(await readAll(socket)).toBe('hello goodbye')
})

it('stops a sender whose other side does not read, in both directions', async () => {
  const silent = await open(path(7002))
  const source = await open(path(7003))
  const whole = 64 << 20
  silent.socket.write(Buffer.alloc(whole))
  // Others get through meanwhile, and what nobody takes stays where it is.
  for (let round = 0; round < 20; round++) {
    const { socket } = await open(path(7001))
    socket.end('still there, ')
    expect(await readAll(socket)).toBe('still there, goodbye')
  }
  expect(silent.socket.writableLength).toBe(whole)
  const { residentBytes } = await cove.system.status()
  expect(residentBytes).toBeLessThan(400 << 20)
  source.socket.destroy()
  silent.socket.destroy()
})

it.each([
  ['a closed port', () => path(7999), {}, 502, 'connection-refused'],
  ['an unknown sandbox', () => path(7001, 'nope'), {}, 404, 'sandbox-not-found'],
  ['port 0', () => path(0), {}, 400, 'invalid-argument'],
  ['port 70000', () => path(70000), {}, 400, 'invalid-argument'],
  ['another protocol', () => path(7001), { upgrade: 'websocket' }, 426, 'unsupported'],
  ['no key', () => path(7001), { authorization: 'Bearer cove_wrong' }, 401, 'unauthenticated'],
  ['an evil host', () => path(7001), { host: 'evil' }, 421, 'permission-denied'],
])('%s is an error before anything is upgraded', async (_what, at, headers, status, code) => {
  const answer = await open(at(), headers)
  expect(answer.status).toBe(status)
  expect(answer.head + (await readAll(answer.socket))).toContain(code)
})

it('says how to upgrade to whoever does not', async () => {
  const answer = await fetch(`${daemon.url}${path(7001)}`, { headers: { authorization: `Bearer ${daemon.apiKey}` } })
  expect(answer.status).toBe(426)
  expect(answer.headers.get('upgrade')).toBe('cove-tcp')
  expect(await answer.json()).toMatchObject({ code: 'unsupported', fix: expect.stringContaining('cove forward') })
})

it('a name works too, and the connection breaks with its sandbox: half of something is not taken for all', async () => {
  const named = await cove.sandboxes.create({ name: 'tunnelled' })
  await startNodeServer(named, SERVER)
  const { socket, status } = await open(path(7001, 'tunnelled'))
  expect(status).toBe(101)
  const broken = once(socket.resume(), 'error')
  await named.delete()
  expect(await broken).toMatchObject([{ code: 'ECONNRESET' }])
})

const call = async (method: string, body: object): Promise<Record<string, unknown>> => {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${daemon.apiKey}` }
  const url = `${daemon.url}/cove.v1.IdentityService/${method}`
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  return (await response.json()) as Record<string, unknown>
}

/** The other side has gone, in whatever way. */
function left(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => void socket.resume().once('close', resolve))
}

it('ends in the middle when its key is revoked', async () => {
  const { key, secret } = await call('CreateKey', { name: 'brief', role: 'ROLE_MEMBER' })
  const { socket, status } = await open(path(7001), { authorization: `Bearer ${String(secret)}` })
  expect(status).toBe(101)
  socket.write('hello')
  expect(String((await once(socket.resume(), 'data'))[0])).toBe('hello')
  const ended = left(socket)
  await call('RevokeKey', { id: (key as { id: string }).id })
  await ended
  const viewer = await call('CreateKey', { name: 'looks', role: 'ROLE_VIEWER' })
  expect((await open(path(7001), { authorization: `Bearer ${String(viewer['secret'])}` })).status).toBe(403)
})

it('keeps its sandbox from being idle as long as bytes move, and not when it is silent', async () => {
  const short = await cove.sandboxes.create({ idleTimeout: 2_000 })
  await startNodeServer(short, SERVER)
  const busy = await open(path(7001, short.id))
  const silent = await open(path(7001, short.id))
  const gone = left(silent.socket)
  const began = performance.now()
  const beat = setInterval(() => busy.socket.write('.'), 300)
  busy.socket.resume()
  await expect.poll(() => performance.now() - began, { timeout: 10_000 }).toBeGreaterThan(4_500)
  expect((await short.refresh()).state).toBe('running')
  clearInterval(beat)
  await gone
  await expect.poll(() => short.refresh()).toMatchObject({ state: 'deleted', endReason: 'idle' })
})

it('is written down, however the sandbox was named', async () => {
  await using named = await cove.sandboxes.create({ name: 'tunnelled' })
  expect((await open('/v1/sandboxes/tunnelled/ports/7009')).status).toBe(502)
  const [last] = (await cove.audit.list({ action: 'ports/' }).pages().next()).value?.items ?? []
  expect(last).toMatchObject({ target: named.id, details: { port: '7009' }, outcome: 'connection-refused' })
})
