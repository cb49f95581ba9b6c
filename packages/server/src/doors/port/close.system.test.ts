import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { createClient } from '@connectrpc/connect'
import { SandboxService } from '@cove/api'
import { expect, test } from 'vitest'
import { ask, call, transport } from '../../../test/support/clients.ts'
import { KEY, openHouse } from '../../../test/support/harness.ts'

test('a close lets calls under way end, ends streams with a reason, and takes nothing new', async () => {
  await using house = await openHouse()
  const base = await house.listen()
  const gate = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  house.node.onCreate = () => {
    reached.resolve()
    return gate.promise
  }
  const synced = Promise.withResolvers<void>()
  const watching = (async () => {
    const client = createClient(SandboxService, transport(base, 'grpc over h2c'))
    for await (const { event } of client.watchSandboxes({})) if (event.case === 'synced') synced.resolve()
  })().catch((error: unknown) => String(error))
  const headers = { connection: 'keep-alive' }
  const creating = call(base, 'SandboxService/CreateSandbox', { name: 'late' }, { headers })
  await Promise.all([reached.promise, synced.promise])

  const began = performance.now()
  const closing = house.server.close(5_000)
  expect(await watching).toContain('the server is closing')
  await expect(ask(`${base}/healthz`)).rejects.toThrow(/ECONNREFUSED|ECONNRESET|hang up/)
  gate.resolve()
  expect((await creating).status).toBe(200)
  await closing
  expect(performance.now() - began).toBeLessThan(4_000)
  expect(house.node.machines.size).toBe(1)
})

test('idle connections of both protocols do not hold a close up', async () => {
  await using house = await openHouse()
  const base = await house.listen()
  const session = connectHttp2(base)
  const stream = session.request({ ':path': '/healthz' })
  stream.resume()
  await new Promise((resolve) => stream.once('close', resolve))
  const silent = connectTcp(Number(new URL(base).port), '127.0.0.1')
  await new Promise((resolve) => silent.once('connect', resolve))
  const idle = connectTcp(Number(new URL(base).port), '127.0.0.1')
  idle.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await new Promise((resolve) => idle.once('data', resolve))
  const began = performance.now()
  await house.server.close(10_000)
  expect(performance.now() - began).toBeLessThan(2_000)
  silent.destroy()
  idle.destroy()
})

test('what does not end within the given time is cut', async () => {
  await using house = await openHouse({ limits: { headersMs: 60_000 } })
  const base = await house.listen()
  await call(base, 'SandboxService/CreateSandbox', { name: 'box' })
  const socket = connectTcp(Number(new URL(base).port), '127.0.0.1')
  const head = `PUT /v1/sandboxes/box/files?path=/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${KEY}\r\n`
  socket.write(`${head}Content-Length: 100\r\n\r\nonly this`)
  await expect.poll(() => [...house.node.guests.values()].flatMap(({ writes }) => writes)).toHaveLength(1)
  const cut = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => undefined)
  const began = performance.now()
  await Promise.all([house.server.close(300), cut])
  expect(performance.now() - began).toBeLessThan(3_000)
  await house.server.close(300)
})

async function* stalling(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('some')
  await new Promise((resolve) => setTimeout(resolve, 2_000))
}

test('an upload that stands still is given up, and an address in use is said', async () => {
  await using house = await openHouse({ limits: { stalledUploadMs: 100 } })
  const base = await house.listen()
  await call(base, 'SandboxService/CreateSandbox', { name: 'box' })
  const headers = { 'content-length': '100' }
  const upload = ask(`${base}/v1/sandboxes/box/files?path=/a`, { method: 'PUT', headers, body: stalling() })
  await expect(upload).rejects.toThrow(/ECONNRESET|hang up/)
  expect((await ask(`${base}/v1/sandboxes/box/files?path=/a`)).status).toBe(404)
  await using other = await openHouse()
  const at = { host: '127.0.0.1', port: Number(new URL(base).port) }
  await expect(other.server.listen(at)).rejects.toMatchObject({ code: 'address-in-use' })
})
