import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Code, ConnectError, createClient } from '@connectrpc/connect'
import { ErrorDetailSchema, ProcessService, SandboxService, SystemService, TemplateService } from '@cove/api'
import { KEY, openHouse, type House } from '../../test/support/harness.ts'
import { PROTOCOLS, ask, bare, call, transport } from '../../test/support/clients.ts'

let house: House
let base: string

beforeAll(async () => {
  house = await openHouse({
    limits: { sandboxesPerProject: 2_000, unaryBodyMs: 400 },
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
    expect(text.json).toMatchObject({ code: 'unsupported', fix: expect.stringContaining('application/json') as string })
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
