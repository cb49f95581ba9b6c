import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import type { ForwardEvent, PortConnection, Sandbox } from '@cove/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TestDaemon } from './support/daemon.ts'

/** Takes everything until the client has closed its side, and then sends it back. */
const BOOMERANG = `
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        data = self.rfile.read()
        self.wfile.write(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64
server = Server(('127.0.0.1', int(sys.argv[1])), Handler)
print('ready', flush=True)
server.serve_forever()
`

/** Sends 60 MB to the first who comes, and says so with a sign for each. */
const FOUNTAIN = `
import socket
server = socket.socket()
server.bind(('127.0.0.1', 7002))
server.listen()
print('ready')
client, _ = server.accept()
for _ in range(60):
    client.sendall(b'x' * 1000000)
    print('.', end='')
client.close()
`

async function serve(sandbox: Sandbox, port: number): Promise<void> {
  const id = `boomerang-${port}`
  await sandbox.processes.start(['python3', '-c', BOOMERANG, String(port)], { id })
  const { text: said } = await sandbox.processes.read(id, { waitMs: 30_000 })
  if (said !== 'ready\n') throw new Error(`the server said ${JSON.stringify(said)}`)
}

const random = (bytes: number): Buffer =>
  Buffer.alloc(bytes, Buffer.from(crypto.getRandomValues(new Uint8Array(65_536))))

async function send(port: number, data: Uint8Array): Promise<Buffer> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  socket.end(data)
  return buffer(socket)
}

describe("the ports of a sandbox, from the client's side", () => {
  let daemon: TestDaemon
  let sandbox: Sandbox
  beforeAll(async () => {
    daemon = await TestDaemon.start()
    sandbox = await daemon.client().sandboxes.create()
    await serve(sandbox, 7000)
  })
  afterAll(() => daemon[Symbol.asyncDispose]())

  it('are listed, shared and unshared, and have addresses', async () => {
    const { ports } = sandbox
    const listed = (await ports.list()).find(({ port }) => port === 7000)
    expect(listed).toMatchObject({ listening: true, public: false, addresses: ['127.0.0.1'] })
    expect(listed?.url).toMatch(new RegExp(`^http://7000-${sandbox.id}\\.`))
    expect(await ports.share(7001, { public: true })).toMatchObject({ port: 7001, listening: false, public: true })
    expect((await ports.list()).find(({ port }) => port === 7001)).toMatchObject({ listening: false, public: true })
    expect(await ports.share(7001)).toMatchObject({ public: false })
    await ports.unshare(7001)
    await ports.unshare(7001)
    const preview = await ports.previewUrl(7000, { expiresIn: 60_000, path: '/a?b=c' })
    expect(preview.url).toMatch(new RegExp(`^http://7000-${sandbox.id}\\..*token=`))
    expect(preview.expiresAt.getTime()).toBeGreaterThan(Date.now())
    for (const port of [0, 65_536, 1.5]) {
      await expect(ports.share(port)).rejects.toMatchObject({ code: 'invalid-argument' })
      await expect(ports.connect(port)).rejects.toMatchObject({ code: 'invalid-argument' })
    }
  })

  it('are connected to as web streams, each side closed for itself', async () => {
    await using connection = await sandbox.ports.connect(7000)
    const writer = connection.writable.getWriter()
    const data = random(3_000_000)
    const sending = (async () => {
      for (let at = 0; at < data.length; at += 100_000) await writer.write(data.subarray(at, at + 100_000))
      await writer.close()
    })()
    const parts: Uint8Array[] = []
    for await (const part of connection.readable) parts.push(part)
    await sending
    expect(Buffer.concat(parts).equals(data)).toBe(true)
    await connection.closed
  })

  it("are connected to as a stream of Node's", async () => {
    const connection: PortConnection = await sandbox.ports.connect(7000)
    const stream = Duplex.fromWeb(connection)
    stream.end('there and back')
    expect(await text(stream)).toBe('there and back')
    await connection.closed
  })

  it('tell their end, however the connection ended', async () => {
    const cut = await sandbox.ports.connect(7000)
    const reading = text(cut.readable)
    const writer = cut.writable.getWriter()
    cut.close()
    await expect(reading).rejects.toMatchObject({ code: 'connection-lost' })
    await expect(writer.write(new Uint8Array([1]))).rejects.toMatchObject({ code: 'connection-lost' })
    const left = await sandbox.ports.connect(7000)
    await left.readable.cancel()
    await left.writable.close()
    await left.closed
    const aborted = await sandbox.ports.connect(7000)
    await aborted.writable.abort()
    await aborted.closed
  })

  it('hold a fast sender back while their reader is slow', async () => {
    await sandbox.processes.start(['python3', '-uc', FOUNTAIN], { id: 'fountain' })
    let next = (await sandbox.processes.read('fountain', { waitMs: 30_000 })).next
    await using connection = await sandbox.ports.connect(7002)
    const reader = connection.readable.getReader()
    let bytes = (await reader.read()).value?.byteLength ?? 0
    let said = ''
    for (let part = await more(); part !== ''; part = await more()) said += part
    expect(said.length).toBeLessThan(30)
    for (let { value } = await reader.read(); value !== undefined; { value } = await reader.read()) {
      bytes += value.byteLength
    }
    expect(bytes).toBe(60_000_000)

    /** What it says until it says nothing for a while: a sign for each MB that it got rid of. */
    async function more(): Promise<string> {
      const part = await sandbox.processes.read('fountain', { from: next, waitMs: 300 })
      next = part.next
      return part.text
    }
  })

  it('refuse with the reason', async () => {
    const cove = daemon.client()
    const stop = new AbortController()
    await expect(sandbox.ports.connect(7999)).rejects.toMatchObject({ code: 'connection-refused' })
    await expect(cove.sandboxes.at('none').ports.connect(7000)).rejects.toMatchObject({ code: 'sandbox-not-found' })
    await expect(sandbox.ports.connect(7000, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'cancelled',
    })
    const connection = await sandbox.ports.connect(7000, { signal: stop.signal })
    stop.abort()
    // The signal was for connecting; what stands is closed by its owner.
    const writer = connection.writable.getWriter()
    await writer.write(new Uint8Array([1]))
    connection.close()
    await connection.closed
  })

  it('are brought to this machine, for many at once', async () => {
    const events: ForwardEvent[] = []
    await using forward = await sandbox.ports.forward(7000, { localPort: 0, onEvent: (event) => events.push(event) })
    expect(forward.host).toBe('127.0.0.1')
    const messages = Array.from({ length: 40 }, (_, i) => Buffer.from(`message ${i}`))
    const large = random(5_000_000)
    const answers = await Promise.all([large, ...messages].map((message) => send(forward.port, message)))
    expect(answers[0]?.equals(large)).toBe(true)
    expect(answers.slice(1).map(String)).toEqual(messages.map(String))
    await forward.close()
    expect(forward.connections).toBe(0)
    expect(events.filter(({ type }) => type === 'opened')).toHaveLength(41)
    expect(events).toContainEqual({
      type: 'closed',
      connection: expect.any(Number),
      sent: 5_000_000,
      received: 5_000_000,
    })
    await expect(send(forward.port, messages[0] ?? large)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('are brought before anything listens, and again when it does', async () => {
    const events: ForwardEvent[] = []
    await using forward = await sandbox.ports.forward(7100, { localPort: 0, onEvent: (event) => events.push(event) })
    await send(forward.port, Buffer.from('too early')).catch(() => {})
    expect(events).toEqual([
      { type: 'failed', connection: 1, error: expect.objectContaining({ code: 'connection-refused' }) as Error },
    ])
    await serve(sandbox, 7100)
    expect(String(await send(forward.port, Buffer.from('now')))).toBe('now')
  })

  it('are let go of at once when the forward closes, also where a client has its whole answer and stays', async () => {
    const forward = await sandbox.ports.forward(7000, { localPort: 0 })
    const socket = connect({ port: forward.port, host: '127.0.0.1', allowHalfOpen: true })
    const ended = once(socket, 'end')
    socket.end('all')
    socket.resume()
    await ended
    const idle = connect({ port: forward.port, host: '127.0.0.1', allowHalfOpen: true })
    idle.on('error', () => {})
    await once(idle, 'connect')
    await forward.close()
    expect(forward.connections).toBe(0)
    socket.destroy()
    idle.destroy()
  })

  it('hold what was asked of a forward: its port, its number of connections, its signal', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const address = taken.address()
    const localPort = typeof address === 'object' ? (address?.port ?? 0) : 0
    await expect(sandbox.ports.forward(7000, { localPort })).rejects.toMatchObject({ code: 'address-in-use' })
    taken.close()

    const failed = Promise.withResolvers<ForwardEvent>()
    const stop = new AbortController()
    const forward = await sandbox.ports.forward(7000, {
      localPort: 0,
      maxConnections: 2,
      signal: stop.signal,
      onEvent: (event) => {
        if (event.type === 'failed') failed.resolve(event)
      },
    })
    const open: Socket[] = []
    for (let i = 0; i < 3; i++) {
      const socket = connect(forward.port, '127.0.0.1')
      socket.on('error', () => {})
      open.push(socket)
      await once(socket, 'connect')
    }
    expect(await failed.promise).toMatchObject({ connection: 3, error: { code: 'limit-reached' } })
    const ended = Promise.all(open.filter(({ destroyed }) => !destroyed).map((socket) => once(socket, 'close')))
    for (const socket of open) socket.resume()
    stop.abort()
    await forward.closed
    await ended
  })

  it('break their connections with the sandbox, so that nobody takes a part for the whole', async () => {
    const box = await daemon.client().sandboxes.create()
    await serve(box, 7000)
    await using forward = await box.ports.forward(7000, { localPort: 0 })
    const socket = connect(forward.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.resume()
    socket.write('unfinished')
    await using connection = await box.ports.connect(7000)
    const taken = text(connection.readable).catch((thrown: unknown) => thrown)
    while (forward.connections === 0) await new Promise(setImmediate)
    const broken = once(socket, 'error')
    await box.delete()
    expect(await taken).toMatchObject({ code: 'connection-lost' })
    expect(await broken).toMatchObject([{ code: 'ECONNRESET' }])
    while (forward.connections > 0) await new Promise(setImmediate)
  })
})
