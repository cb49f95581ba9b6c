import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { PassThrough, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterEach, expect, test } from 'vitest'
import type { Io } from '../io.ts'
import { serve } from './serve.ts'

interface Sent {
  readonly id?: number
  readonly method?: string
}
type Answer = (message: Sent, response: ServerResponse, request: IncomingMessage) => void

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

/** A daemon's door that says what the test wants. */
async function door(answer: Answer): Promise<string> {
  const server = createServer((request, response) => {
    void text(request).then((body) => answer(JSON.parse(body) as Sent, response, request))
  })
  servers.push(server)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
}

/** `cove mcp` between a client that writes lines and that door. */
function open(url: string, stdout: Writable = new PassThrough()) {
  const stdin = new PassThrough()
  const io: Io = { stdin, stdout, stderr: new PassThrough(), env: { COVE_API_KEY: 'key' } }
  const over = serve({ url }, io, false)
  const lines: string[] = []
  stdout.on('data', (chunk: Buffer) => lines.push(...chunk.toString('utf8').split('\n').slice(0, -1)))
  const send = (message: unknown): boolean => stdin.write(`${JSON.stringify(message)}\n`)
  return { stdin, lines, over, send, answers: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
}

const ping = (id: number) => ({ jsonrpc: '2.0', id, method: 'ping' })
const ok = ({ id }: Sent, response: ServerResponse): unknown =>
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ jsonrpc: '2.0', id, result: {} }))

test('a client that asks faster than it is answered is read no further for a while', async () => {
  const held: (() => void)[] = []
  const url = await door((message, response) => void held.push(() => ok(message, response)))
  const warnings: Error[] = []
  const warned = (warning: Error): unknown => warnings.push(warning)
  process.on('warning', warned)
  const client = open(url)
  for (let id = 1; id <= 1000; id++) client.send(ping(id))
  await expect.poll(() => held.length, { timeout: 20_000 }).toBe(256)
  let most = 0
  await expect
    .poll(
      () => {
        most = Math.max(most, held.length)
        for (const answer of held.splice(0)) answer()
        return client.lines.length
      },
      { timeout: 20_000 },
    )
    .toBe(1000)
  expect(most).toBeLessThanOrEqual(256)
  client.stdin.end()
  expect(await client.over).toBe(0)
  process.off('warning', warned)
  expect(warnings).toEqual([])
})

test('ends without a word when its client reads no more', async () => {
  const url = await door(ok)
  const broken = new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
  })
  const client = open(url, broken)
  for (let id = 1; id <= 20; id++) client.send(ping(id))
  expect(await client.over).toBe(0)
})

test('what is no single message is answered with what the server says to it', async () => {
  const url = await door((message, response) => {
    if (Array.isArray(message)) {
      const answers = message.map(({ id }: Sent) => ({ jsonrpc: '2.0', id, result: {} }))
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answers))
      return
    }
    const error = { jsonrpc: '2.0', id: null, error: { code: -32_600, message: 'no message' } }
    response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify(error))
  })
  const client = open(url)
  client.send([ping(1), ping(2)])
  client.send(5)
  client.send({ ...ping(3), id: {} })
  client.send({ jsonrpc: '2.0', method: 'notifications/anything' })
  client.stdin.end('{half')
  expect(await client.over).toBe(0)
  const refused = {
    id: null,
    error: expect.objectContaining({ message: expect.stringMatching(/^no message\. Correct/) as string }),
  }
  expect(client.answers()).toHaveLength(4)
  expect(client.answers()).toEqual(
    expect.arrayContaining([
      [expect.objectContaining({ id: 1 }), expect.objectContaining({ id: 2 })],
      expect.objectContaining(refused),
      expect.objectContaining({ error: expect.objectContaining({ code: -32_700 }) as unknown }),
    ]),
  )
})

test('a call that may have been done is not asked for again, and everything else is', async () => {
  const seen: string[] = []
  let breaking = false
  const url = await door((message, response, { socket }) => {
    seen.push(message.method ?? '')
    if (!breaking) return void ok(message, response)
    breaking = false
    socket.resetAndDestroy()
  })
  const client = open(url)
  const ask = async (message: Sent): Promise<Record<string, unknown> | undefined> => {
    const before = client.lines.length
    client.send(message)
    await expect.poll(() => client.lines.length, { timeout: 20_000 }).toBe(before + 1)
    return client.answers().at(-1)
  }
  await ask(ping(1))
  breaking = true
  expect(await ask(ping(2))).toMatchObject({ id: 2, result: {} })
  breaking = true
  const call = await ask({ ...ping(3), method: 'tools/call' })
  expect(call).toMatchObject({
    id: 3,
    error: { message: expect.stringContaining('whether the call was done') as string },
  })
  expect(seen).toEqual(['ping', 'ping', 'ping', 'tools/call'])
  client.stdin.end()
  expect(await client.over).toBe(0)
})
