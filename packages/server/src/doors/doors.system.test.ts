import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Code, ConnectError, createClient } from '@connectrpc/connect'
import {
  ErrorDetailSchema,
  FileService,
  ProcessService,
  SandboxService,
  SystemService,
  TemplateService,
} from '@cove/api'
import { KEY, openHouse, type House } from '../../test/support/harness.ts'
import { PROTOCOLS, ask, askHttp2, bare, call, transport } from '../../test/support/clients.ts'

let house: House
let base: string

beforeAll(async () => {
  house = await openHouse({
    limits: { sandboxesPerProject: 2_000, headersMs: 500, unaryBodyMs: 400 },
    allowedHosts: ['cove.example'],
  })
  base = await house.listen()
})
afterAll(() => house[Symbol.asyncDispose]())

describe.each(PROTOCOLS)('%s', (protocol) => {
  test('creates, runs, streams, lists and deletes', async () => {
    const wire = transport(base, protocol)
    const sandboxes = createClient(SandboxService, wire)
    const processes = createClient(ProcessService, wire)
    const { sandbox } = await sandboxes.createSandbox({ labels: { protocol } })
    const id = sandbox?.id ?? ''
    const ran = await processes.runProcess({ sandbox: id, command: { argv: ['echo', 'hello'] } })
    expect(Buffer.from(ran.stdout).toString()).toBe('hello\n')
    expect(ran.process?.exit).toMatchObject({ kind: 1, code: 0 })
    const fed = await processes.runProcess({ sandbox: id, command: { argv: ['cat'] }, stdin: Buffer.from('abc') })
    expect(Buffer.from(fed.stdout).toString()).toBe('abc')

    const told: string[] = []
    let bytes = 0
    const command = { argv: ['zeros', '3000000'], processId: 'mine' }
    for await (const { event } of processes.startProcess({ sandbox: id, command })) {
      told.push(event?.event.case ?? '')
      if (event?.event.case === 'output') bytes += event.event.value.data.length
    }
    expect(bytes).toBe(3_000_000)
    expect([told[0], told.at(-1)]).toEqual(['started', 'ended'])
    let rest = 0
    const from = { case: 'offset', value: 2_999_000n } as const
    for await (const { event } of processes.attachProcess({ sandbox: id, processId: 'mine', from })) {
      if (event?.event.case === 'output') rest += event.event.value.data.length
    }
    expect(rest).toBe(1_000)

    const { sandboxes: listed } = await sandboxes.listSandboxes({ filter: { labels: { protocol } } })
    expect(listed.map((one) => one.id)).toEqual([id])
    expect((await sandboxes.deleteSandbox({ id })).sandbox?.state).toBe(12)
  })

  test('errors carry code, fix, context and request id', async () => {
    const sandboxes = createClient(SandboxService, transport(base, protocol))
    const error = await sandboxes
      .getSandbox({ id: 'nope' }, { headers: { 'x-request-id': 'my-id' } })
      .catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ConnectError)
    if (!(error instanceof ConnectError)) return
    expect(error.code).toBe(Code.NotFound)
    expect(error.findDetails(ErrorDetailSchema)).toMatchObject([
      { code: 'sandbox-not-found', requestId: 'my-id', transient: false, fix: expect.stringContaining('cove ls') },
    ])
  })

  test('a wrong key is told apart from everything else', async () => {
    const sandboxes = createClient(SandboxService, transport(base, protocol, 'cove_wrong'))
    const error = ConnectError.from(await sandboxes.listSandboxes({}).catch((thrown: unknown) => thrown))
    expect(error.code).toBe(Code.Unauthenticated)
    expect(error.findDetails(ErrorDetailSchema)[0]?.fix).toContain('Bearer')
  })

  test('an error in a stream arrives as one', async () => {
    const processes = createClient(ProcessService, transport(base, protocol))
    const read = async (): Promise<void> => {
      for await (const _event of processes.startProcess({ sandbox: 'nope', command: { argv: ['true'] } })) void _event
    }
    expect(ConnectError.from(await read().catch((thrown: unknown) => thrown)).code).toBe(Code.NotFound)
  })

  test('a client that leaves in the middle of a stream cancels the call in the guest', async () => {
    const wire = transport(base, protocol)
    const { sandbox } = await createClient(SandboxService, wire).createSandbox({})
    const id = sandbox?.id ?? ''
    const guest = house.node.stub(id)
    const leaving = new AbortController()
    const read = async (): Promise<void> => {
      const stream = createClient(ProcessService, wire).startProcess(
        { sandbox: id, command: { argv: ['sleep'] } },
        { signal: leaving.signal },
      )
      for await (const _event of stream) leaving.abort()
    }
    await expect(read()).rejects.toThrow(/cancel|abort/)
    await guest.until(() => guest.attached === 0)
    await createClient(SandboxService, wire).deleteSandbox({ id })
  })
})

async function* spaces(bytes: number): AsyncGenerator<Uint8Array> {
  const some = Buffer.alloc(500_000, 0x20)
  for (let sent = 0; sent < bytes; sent += some.length) yield some
}

describe('curl-like JSON', () => {
  test('every unary service answers', async () => {
    const { sandbox } = (await call(base, 'SandboxService/CreateSandbox', { name: 'curl' })).json as {
      sandbox: { id: string; state: string }
    }
    expect(sandbox.state).toBe('SANDBOX_STATE_RUNNING')
    const ran = await call(base, 'ProcessService/RunProcess', { sandbox: 'curl', command: { argv: ['false'] } })
    expect(ran.json['process']).toMatchObject({ exit: { kind: 'KIND_EXITED', code: 1 } })
    const status = await createClient(SystemService, transport(base, PROTOCOLS[0])).getStatus({})
    expect(status).toMatchObject({ installation: 'test', drivers: [{ name: 'stub', proven: true }] })
    expect(status.sandboxes['running']).toBeGreaterThan(0)
    const templates = await createClient(TemplateService, transport(base, PROTOCOLS[0])).listTemplates({})
    expect(templates.templates).toMatchObject([{ name: 'host', drivers: ['stub'] }])
    const stopped = await call(base, 'SandboxService/StopSandbox', { id: 'curl' })
    expect(stopped.json['sandbox']).toMatchObject({ state: 'SANDBOX_STATE_STOPPED' })
    const refused = await call(base, 'ProcessService/RunProcess', { sandbox: 'curl', command: { argv: ['true'] } })
    expect(refused.json).toMatchObject({ code: 'failed_precondition', message: 'sandbox curl is stopped, not running' })
    await call(base, 'SandboxService/DeleteSandbox', { id: 'curl' })
    const again = await call(base, 'SandboxService/DeleteSandbox', { id: sandbox.id })
    expect(again.json['sandbox']).toMatchObject({ state: 'SANDBOX_STATE_DELETED', endReason: 'END_REASON_DELETED' })
  })

  test.each([
    ['SandboxService/CreateSandbox', { name: 'Not A Name' }, 'name'],
    ['SandboxService/CreateSandbox', { lifetime: { after: '-3s' } }, 'lifetime'],
    ['SandboxService/CreateSandbox', { env: { 'A=B': 'c' } }, 'env'],
    ['SandboxService/ListSandboxes', { pageSize: 5_000 }, 'pageSize'],
    ['SandboxService/ListSandboxes', { pageToken: '!' }, 'pageToken'],
    ['SandboxService/GetSandbox', {}, 'id'],
    ['ProcessService/RunProcess', { sandbox: 'x' }, 'command'],
    ['ProcessService/RunProcess', { sandbox: 'x', command: { argv: [] } }, 'command.argv'],
    ['ProcessService/RunProcess', { sandbox: 'x', command: { argv: ['a'], timeout: '-1s' } }, 'command.timeout'],
    ['ProcessService/RunProcess', { sandbox: 'x', command: { argv: ['a'], cwd: 'rel' } }, 'command.cwd'],
    ['ProcessService/SignalProcess', { sandbox: 'x', processId: 'p', signal: 65 }, 'signal'],
    ['FileService/StatFile', { sandbox: 'x', path: '/a\0b' }, 'path'],
    ['FileService/StatFile', { sandbox: 'x', path: `/${'a'.repeat(10_000)}` }, 'path'],
    ['FileService/StatFile', { sandbox: 'x', path: 'a/b' }, 'path'],
    ['FileService/ChangeMode', { sandbox: 'x', path: '/a', mode: 0o10000 }, 'mode'],
  ] as const)('%s refuses wrong values of its fields (%#)', async (method, message, field) => {
    const answer = await call(base, method, message)
    expect(answer.status).toBe(400)
    expect(answer.json).toMatchObject({ code: 'invalid_argument' })
    expect(answer.json['message']).toContain(field)
  })

  test.each([
    ['SandboxService/ListSandboxes', {}, KEY],
    ['SandboxService/ListSandboxes', { pageSize: 9_999 }, KEY],
    ['SandboxService/GetSandbox', { id: 'nope' }, KEY],
    ['SandboxService/GetSandbox', { id: 7 }, KEY],
    ['ProcessService/RunProcess', { sandbox: 'nope', command: { argv: ['true'] } }, KEY],
    ['TemplateService/GetTemplate', { name: 'host' }, KEY],
    ['TemplateService/GetTemplate', { name: 'other' }, 'wrong'],
  ] as const)('the short lane answers as the library does (%#)', async (method, message, key) => {
    const headers = { 'x-request-id': 'same' }
    const short = await call(base, method, message, { key, headers })
    // A deadline makes a call go through the library.
    const long = await call(base, method, message, { key, headers: { ...headers, 'connect-timeout-ms': '5000' } })
    expect(short.status).toBe(long.status)
    const { details: shortDetails, message: shortMessage, ...shortRest } = short.json
    const { details: longDetails, message: longMessage, ...longRest } = long.json
    expect(shortRest).toEqual(longRest)
    expect(typeof shortMessage).toBe(typeof longMessage)
    expect(longDetails === undefined ? undefined : shortDetails).toEqual(longDetails)
    expect(short.headers['content-type']).toBe(long.headers['content-type'])
    expect(short.headers['x-request-id']).toBe('same')
  })

  test('reading calls may be a GET, and unknown methods are said', async () => {
    const query = new URLSearchParams({ encoding: 'json', message: '{}', connect: 'v1' }).toString()
    const got = await ask(`${base}/cove.v1.TemplateService/ListTemplates?${query}`)
    expect(got.json['templates']).toMatchObject([{ name: 'host', source: 'host' }])
    expect((await ask(`${base}/cove.v1.SandboxService/CreateSandbox?${query}`)).status).toBe(405)
    expect((await call(base, 'SandboxService/Nothing', {})).status).toBe(404)
    const text = await call(base, 'SandboxService/ListSandboxes', {}, { headers: { 'content-type': 'text/plain' } })
    expect(text.status).toBe(415)
    const odd = await call(base, 'SandboxService/ListSandboxes', {}, { body: '{"filter":7}' })
    expect(odd.json).toMatchObject({ code: 'invalid_argument' })
    await call(base, 'SystemService/Diagnose', {})
    expect(house.node.calls).toContain('diagnose')
  })

  test('a body that does not come is given up', async () => {
    const head = `POST /cove.v1.SandboxService/CreateSandbox HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${KEY}\r\n`
    for (const type of ['application/json', 'application/grpc-web+proto']) {
      const answer = await bare(base, [`${head}Content-Type: ${type}\r\nContent-Length: 9\r\n\r\n{`])
      expect(answer).toMatch(/^(HTTP\/1.1 504|$)/)
    }
  })

  test('a body of 100 MB is refused before it is read', async () => {
    const began = performance.now()
    const body = Buffer.alloc(100_000_000, 0x20)
    const announced = await call(base, 'SandboxService/CreateSandbox', {}, { body })
    expect(announced.json).toMatchObject({ code: 'resource_exhausted', details: [{ type: 'cove.v1.ErrorDetail' }] })
    const small = await ask(`${base}/cove.v1.SandboxService/CreateSandbox`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': '100000000', expect: '100-continue' },
      body: '{',
    }).catch((error: unknown) => error)
    expect(small).toMatchObject({ status: 429 })
    expect(performance.now() - began).toBeLessThan(5_000)
    const chunked = await call(base, 'SandboxService/CreateSandbox', {}, { body: spaces(100_000_000) })
    expect(chunked.json).toMatchObject({ code: 'resource_exhausted' })
    expect((await ask(`${base}/healthz`, { key: null })).status).toBe(200)
  })
})

describe('keys, hosts and origins', () => {
  test.each(['/metrics', '/v1/sandboxes/x/files?path=/a', '/nothing', '/cove.v1.SandboxService/ListSandboxes'])(
    '%s needs a key',
    async (path) => {
      for (const key of [null, 'wrong', `${KEY}x`, '']) {
        const method = path.startsWith('/cove') ? 'POST' : 'GET'
        const answer = await ask(base + path, {
          key,
          method,
          headers: { 'content-type': 'application/json' },
          body: '',
        })
        expect(answer.status).toBe(401)
        expect(answer.headers['www-authenticate']).toBe('Bearer')
        expect(answer.body.toString()).toContain('Bearer')
        expect(answer.headers['x-request-id']).toMatch(/^[a-z2-7]{16}$/)
      }
    },
  )

  test.each([
    ['GET', 'application/json'],
    ['POST', 'text/plain'],
    ['DELETE', 'application/proto'],
  ])('a call that is none (%s of %s) tells a stranger nothing but that', async (method, type) => {
    const headers = { 'content-type': type }
    const answer = await ask(`${base}/cove.v1.SandboxService/CreateSandbox`, { key: null, method, headers })
    expect([answer.status, answer.json['code']]).toEqual([401, 'unauthenticated'])
    expect(answer.headers['www-authenticate']).toBe('Bearer')
  })

  test('it is not ready while no driver can make sandboxes', async () => {
    const drivers = house.node.drivers.bind(house.node)
    house.node.drivers = () => Promise.resolve([])
    const none = await ask(`${base}/readyz`, { key: null })
    expect([none.status, none.body.toString()]).toEqual([503, expect.stringContaining('cove doctor')])
    house.node.drivers = (signal) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error))
      })
    expect((await ask(`${base}/readyz`, { key: null })).body.toString()).toContain('being proven')
    house.node.drivers = drivers
    expect((await ask(`${base}/readyz`, { key: null })).status).toBe(200)
  })

  test('health needs none, and the key may come as X-API-Key', async () => {
    for (const path of ['/healthz', '/readyz']) expect((await ask(base + path, { key: null })).status).toBe(200)
    const metrics = await ask(`${base}/metrics`, { key: null, headers: { 'x-api-key': KEY } })
    expect(metrics.body.toString()).toMatch(/^cove_http_answers_total\{door="connect",status="200"\} \d+$/m)
    expect(metrics.body.toString()).toMatch(/^cove_http_seconds_bucket\{le="\+Inf"\} \d+$/m)
  })

  test.each([
    [{ host: 'evil.example' }, 421],
    [{ host: 'localhost.evil.example' }, 421],
    [{ host: '127.0.0.1.evil.example' }, 421],
    [{ host: 'localhost:8080' }, 200],
    [{ host: '[::1]:8080' }, 200],
    [{ host: 'cove.example' }, 200],
    [{ host: 'localhost:8080', origin: 'http://evil.example' }, 403],
    [{ host: 'localhost:8080', origin: 'http://localhost:3000' }, 403],
    [{ host: 'localhost:8080', origin: 'null' }, 403],
    [{ host: 'localhost:8080', origin: 'http://localhost:8080' }, 200],
    [{ host: 'localhost:8080', origin: 'https://cove.example' }, 200],
  ])('headers %j are answered with %i', async (headers, status) => {
    expect((await ask(`${base}/metrics`, { headers })).status).toBe(status)
    const listed = await call(base, 'SandboxService/ListSandboxes', {}, { headers })
    expect(listed.status).toBe(status)
  })

  test('a request id that is not sane is replaced', async () => {
    const sane = await ask(`${base}/healthz`, { headers: { 'x-request-id': 'a.b-C_1' } })
    expect(sane.headers['x-request-id']).toBe('a.b-C_1')
    const made = await ask(`${base}/healthz`, { headers: { 'x-request-id': 'a b"' } })
    expect(made.headers['x-request-id']).toMatch(/^[a-z2-7]{16}$/)
  })
})

const singly = (text: string): string[] => text.split('')

describe('one port', () => {
  test('both protocols, also when the first bytes come one by one', async () => {
    expect(await askHttp2(base, '/metrics')).toBe(200)
    const head = `GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
    expect(await bare(base, [...singly(head.slice(0, 20)), head.slice(20)])).toMatch(/^HTTP\/1.1 200 OK/)
    expect(await bare(base, singly(`PRI / HTTP/1.1\r\n\r\n`))).toMatch(/^HTTP\/1.1 4/)
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
    const answer = await bare(base, [...singly(preface), settings], /.{9}/s)
    expect(Buffer.from(answer, 'latin1')[3]).toBe(4)
  })

  test('a request in the same packet as its successor is answered too', async () => {
    const one = `GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`
    const two = `GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
    const answers = await bare(base, [one + two])
    expect(answers.match(/HTTP\/1.1 200 OK/g)).toHaveLength(2)
  })

  test('a connection that says nothing, or never finishes its headers, is closed', async () => {
    expect(await bare(base, [])).toBe('')
    expect(await bare(base, ['PRI * HT'])).toBe('')
    expect(await bare(base, ['GET /healthz HTTP/1.1\r\nHost: loc'])).toMatch(/^(HTTP\/1.1 408|$)/)
  })

  test('huge headers are refused', async () => {
    const big = 'x'.repeat(20_000)
    const answer = await bare(base, [`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Big: ${big}\r\n\r\n`])
    expect(answer).toMatch(/^HTTP\/1.1 431/)
    expect(await askHttp2(base, '/healthz', { 'x-big': big })).toBe(431)
    expect((await ask(`${base}/healthz`)).status).toBe(200)
  })
})

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
    socket.write(`${head}half of it`)
    await new Promise((resolve) => setTimeout(resolve, 50))
    socket.destroy()
    await expect.poll(async () => (await ask(url('path=/tmp/kept'))).body.toString()).toBe('old')
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

test('a watch over the wire misses nothing while many come and go, and a long list is whole', async () => {
  const client = createClient(SandboxService, transport(base, 'connect over h2c'))
  const ending = new AbortController()
  const told = new Map<string, number[]>()
  const synced = Promise.withResolvers<void>()
  const filter = { labels: { crowd: 'yes' } }
  const watching = (async () => {
    for await (const { event } of client.watchSandboxes({ filter }, { signal: ending.signal })) {
      if (event.case === 'synced') synced.resolve()
      if (event.case === 'changed') told.set(event.value.id, [...(told.get(event.value.id) ?? []), event.value.state])
    }
  })().catch((error: unknown) => {
    if (!ending.signal.aborted) throw error
  })
  await synced.promise
  const ids: string[] = []
  const worker = async (): Promise<void> => {
    while (ids.length < 1_000) {
      const at = ids.push('') - 1
      ids[at] = (await client.createSandbox({ labels: { crowd: 'yes' } })).sandbox?.id ?? ''
    }
  }
  await Promise.all(Array.from({ length: 20 }, worker))
  const seen: string[] = []
  let pageToken = ''
  do {
    const page = await client.listSandboxes({ filter, pageSize: 300, pageToken })
    seen.push(...page.sandboxes.map(({ id }) => id))
    pageToken = page.nextPageToken
  } while (pageToken !== '')
  expect(seen.toSorted()).toEqual(ids.toSorted())
  const all = await client.listSandboxes({ filter, pageSize: 1_000 })
  expect(all.sandboxes).toHaveLength(1_000)
  await Promise.all(ids.slice(0, 200).map((id) => client.deleteSandbox({ id })))
  await expect.poll(() => ids.slice(0, 200).filter((id) => told.get(id)?.at(-1) !== 12)).toEqual([])
  expect(ids.filter((id) => JSON.stringify(told.get(id)?.slice(0, 2)) !== '[2,3]')).toEqual([])
  ending.abort()
  await watching
})
