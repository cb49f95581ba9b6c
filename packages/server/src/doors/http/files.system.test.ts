import { createHash, randomBytes } from 'node:crypto'
import { ConnectError, createClient } from '@connectrpc/connect'
import { ErrorDetailSchema, FileService } from '@cove/api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask, call, transport } from '../../../test/support/clients.ts'
import { KEY, openHouse, type House } from '../../../test/support/harness.ts'
import { BrokenUpload } from '../../../test/support/raw-http2.ts'

let house: House
let base: string

beforeAll(async () => {
  house = await openHouse({})
  base = await house.listen()
})
afterAll(() => house[Symbol.asyncDispose]())

const url = (query: string): string => `${base}/v1/sandboxes/files/files?${query}`

describe('files', () => {
  beforeAll(async () => {
    await call(base, 'SandboxService/CreateSandbox', { name: 'files' })
  })

  test('content goes in and out unchanged, whole and in parts', async () => {
    const content = randomBytes(5_000_003)
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < content.length; at += 70_001) yield content.subarray(at, at + 70_001)
    }
    const put = await ask(url('path=/tmp/a%20b&mode=755'), { method: 'PUT', body: pieces() })
    expect(put.status).toBe(200)
    expect(put.json).toMatchObject({ path: '/tmp/a b', size: '5000003', mode: 0o755 })
    const got = await ask(url('path=/tmp/a%20b'))
    expect(got.headers).toMatchObject({ 'content-length': '5000003', 'content-disposition': 'attachment' })
    expect(createHash('sha256').update(got.body).digest('hex')).toBe(createHash('sha256').update(content).digest('hex'))
    const head = await ask(url('path=/tmp/a%20b'), { method: 'HEAD' })
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '5000003', 0])

    for (const [range, from, to] of [
      ['bytes=10-19', 10, 20],
      ['bytes=5000000-', 5_000_000, 5_000_003],
      ['bytes=-4', 4_999_999, 5_000_003],
      ['bytes=5000000-9999999', 5_000_000, 5_000_003],
    ] as const) {
      const part = await ask(url('path=/tmp/a%20b'), { headers: { range } })
      expect(part.status).toBe(206)
      expect(part.headers['content-range']).toBe(`bytes ${from}-${to - 1}/5000003`)
      expect(part.body.equals(content.subarray(from, to))).toBe(true)
    }
    const query = await ask(url('path=/tmp/a%20b&offset=3&length=4'))
    expect(query.body.equals(content.subarray(3, 7))).toBe(true)
    const behind = await ask(url('path=/tmp/a%20b'), { headers: { range: 'bytes=5000003-' } })
    expect([behind.status, behind.headers['content-range']]).toEqual([416, 'bytes */5000003'])
  })

  test.each([
    ['', 400, 'path-invalid'],
    ['path=relative', 400, 'path-invalid'],
    ['path=/a%00b', 400, 'path-invalid'],
    ['path=/a%ff', 400, 'path-invalid'],
    [`path=/${'a'.repeat(10_000)}`, 400, 'path-invalid'],
    ['path=/missing', 404, 'file-not-found'],
    ['path=/a&offset=-1', 400, 'invalid-argument'],
    ['path=/a&user=no%20body', 400, 'invalid-argument'],
  ] as const)('a GET with a bad query is refused (%#)', async (query, status, code) => {
    const answer = await ask(url(query))
    expect(answer.status).toBe(status)
    expect(answer.json).toMatchObject({ code, fix: expect.any(String), requestId: answer.headers['x-request-id'] })
  })

  test('an upload that breaks off changes nothing', async () => {
    const guest = house.node.guests.values().find(({ files }) => files.has('/tmp/a b'))
    guest?.files.set('/tmp/kept', Buffer.from('old'))
    const head = `PUT /v1/sandboxes/files/files?path=/tmp/kept HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${KEY}\r\nContent-Length: 100\r\n\r\n`
    const { hostname, port } = new URL(base)
    const { connect } = await import('node:net')
    const socket = connect(Number(port), hostname)
    const before = guest?.writes.length ?? 0
    socket.write(`${head}half of it`)
    await expect.poll(() => guest?.writes.length).toBe(before + 1)
    socket.destroy()
    expect(await guest?.writes.at(-1)).toBe('broken')
    expect((await ask(url('path=/tmp/kept'))).body.toString()).toBe('old')
  })

  test('nor does one that breaks off over HTTP/2', async () => {
    const guest = house.node.guests.values().find(({ files }) => files.has('/tmp/a b'))
    guest?.files.set('/tmp/kept', Buffer.from('old'))
    const before = guest?.writes.length ?? 0
    const path = '/v1/sandboxes/files/files?path=/tmp/kept'
    const headers = { ':method': 'PUT', ':path': path, ':authority': 'localhost', authorization: `Bearer ${KEY}` }
    using upload = new BrokenUpload(base, headers, 'half of it')
    await expect.poll(() => guest?.writes.length).toBe(before + 1)
    upload.breakOff()
    expect(await guest?.writes.at(-1)).toBe('broken')
    expect((await ask(url('path=/tmp/kept'))).body.toString()).toBe('old')
  })

  test('the native calls on files answer', async () => {
    const files = createClient(FileService, transport(base, 'grpc over h2c'))
    const sandbox = 'files'
    expect((await files.statFile({ sandbox, path: '/tmp/a b' })).file?.size).toBe(5_000_003n)
    await files.moveFile({ sandbox, from: '/tmp/a b', to: '/tmp/c' })
    const names: string[] = []
    for await (const { files: some } of files.listFiles({ sandbox, path: '/tmp' }))
      names.push(...some.map((f) => f.path))
    expect(names).toContain('c')
    const events: (string | undefined)[] = []
    for await (const { event } of files.watchFiles({ sandbox, path: '/tmp' })) events.push(event.case)
    expect(events).toEqual(['ready', 'change', 'change', 'overflow'])
    await files.removeFile({ sandbox, path: '/tmp/c' })
    const error = await files.statFile({ sandbox, path: '/tmp/c' }).catch((thrown: unknown) => thrown)
    expect(ConnectError.from(error).findDetails(ErrorDetailSchema)[0]?.code).toBe('file-not-found')
  })
})
