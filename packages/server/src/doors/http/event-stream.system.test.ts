import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { create, toBinary } from '@bufbuild/protobuf'
import { StartProcessRequestSchema } from '@cove/api'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ask, call } from '../../../test/support/clients.ts'
import { parseFrames } from '../../../test/support/event-frames.ts'
import { KEY, openHouse, type House } from '../../../test/support/harness.ts'
import type { StubGuest } from '../../../test/support/stub-guest.ts'

let house: House
let base: string
let guest: StubGuest

beforeAll(async () => {
  house = await openHouse({ limits: { keepAliveMs: 40 } })
  base = await house.listen()
  await call(base, 'SandboxService/CreateSandbox', { name: 'box' })
  guest = [...house.node.guests.values()][0] ?? expect.fail('no guest')
})
afterAll(() => house[Symbol.asyncDispose]())

const json = { 'content-type': 'application/json' }
const processes = (): string => `${base}/v1/sandboxes/box/processes`

function open(path: string, method = 'GET', body = ''): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { ...json, authorization: `Bearer ${KEY}` }
    httpRequest(base + path, { method, headers, agent: false }, resolve)
      .on('error', reject)
      .end(body)
  })
}

test('a process is started from JSON or protobuf and streams from its first byte to its end', async () => {
  const command = { argv: ['echo', 'hello'] }
  const binary = toBinary(StartProcessRequestSchema, create(StartProcessRequestSchema, { command }))
  const asked = [
    { method: 'POST', headers: json, body: JSON.stringify({ command }) },
    { method: 'POST', headers: { 'content-type': 'application/proto' }, body: binary },
  ]
  for (const request of asked) {
    const answer = await ask(processes(), request)
    expect(answer.headers['content-type']).toBe('application/vnd.cove.events')
    expect(parseFrames(answer.body)).toEqual([
      { kind: 'event', case: 'started' },
      { kind: 'output', stream: 1, offset: 0, data: Buffer.from('hello\n') },
      { kind: 'event', case: 'ended' },
    ])
  }
})

test('output can be read again from an offset, and every byte is there once', async () => {
  const command = { argv: ['zeros', '700000'], processId: 'again' }
  await ask(processes(), { method: 'POST', headers: json, body: JSON.stringify({ command }) })
  const answer = await ask(`${processes()}/again/output?offset=100`)
  let next = 100
  for (const frame of parseFrames(answer.body)) {
    if (frame.kind !== 'output') continue
    expect(frame.offset).toBe(next)
    next += frame.data.length
  }
  expect(next).toBe(700_000)
})

test.each([
  ['/v1/sandboxes/nope/processes', '{"command":{"argv":["true"]}}', 404, 'sandbox-not-found'],
  ['/v1/sandboxes/box/processes', '{"command":{"argv":["nothing-like-it"]}}', 400, 'command-not-found'],
  ['/v1/sandboxes/box/processes', '{"command":{}}', 400, 'invalid-argument'],
  ['/v1/sandboxes/box/processes', '{', 400, 'invalid-argument'],
  ['/v1/sandboxes/box/processes', '{"incarnation":9,"command":{"argv":["true"]}}', 409, 'stale-incarnation'],
  ['/v1/sandboxes/box/nothing', '{}', 404, 'unsupported'],
] as const)('a start that cannot be is refused with its status (%#)', async (path, body, status, code) => {
  const answer = await ask(base + path, { method: 'POST', headers: json, body })
  expect([answer.status, answer.json['code']]).toEqual([status, code])
})

test('a silent stream shows signs of life, and a client that leaves is noticed', async () => {
  const response = await open(
    '/v1/sandboxes/box/processes',
    'POST',
    '{"command":{"argv":["sleep"],"processId":"still"}}',
  )
  const chunks: Buffer[] = []
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    if (chunks.length === 3) break
  }
  expect(parseFrames(Buffer.concat(chunks)).map((frame) => frame.kind === 'event' && frame.case)).toEqual([
    'started',
    'keepAlive',
    'keepAlive',
  ])
  response.destroy()
  await guest.until(() => guest.attached === 0)
  const listed = await call(base, 'ProcessService/ListProcesses', { sandbox: 'box' })
  expect(JSON.stringify(listed.json)).toContain('still')
})

test.each(['http/1.1', 'h2c'] as const)('a reader that stops holds the guest back over %s', async (version) => {
  const body = '{"command":{"argv":["zeros","1000000000"]}}'
  const before = guest.produced
  const leave = version === 'http/1.1' ? await stalledHttp1(body) : await stalledHttp2(body)
  await guest.until(() => guest.attached === 1)
  let produced = -1
  await expect
    .poll(
      () => {
        const grew = guest.produced - produced
        produced = guest.produced
        return grew
      },
      { interval: 100 },
    )
    .toBe(0)
  expect(produced - before).toBeLessThan(40_000_000)
  leave()
  await guest.until(() => guest.attached === 0)
})

async function stalledHttp1(body: string): Promise<() => void> {
  const response = await open('/v1/sandboxes/box/processes', 'POST', body)
  response.pause()
  return () => void response.destroy()
}

async function stalledHttp2(body: string): Promise<() => void> {
  const session = connectHttp2(base)
  const headers = { ...json, authorization: `Bearer ${KEY}` }
  const stream = session.request({ ':method': 'POST', ':path': '/v1/sandboxes/box/processes', ...headers })
  stream.end(body)
  await new Promise((resolve) => stream.once('response', resolve))
  return () => session.destroy()
}
