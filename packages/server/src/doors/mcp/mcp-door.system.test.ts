import { once } from 'node:events'
import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import { text as textOf } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CoveError } from '@cove/domain'
import { KEY, openHouse, type House } from '../../../test/support/harness.ts'
import { ERAS, StubRuntimes, connectMcp, createEnvironment } from '../../../test/support/mcp.ts'
import type { KeyRing } from '../../auth/key-ring.ts'
import { MemoryAudit } from '../../audit/memory-audit.ts'
import type { Principal } from '../../auth/principal.ts'

const TOOLS = [
  'create_environment',
  'destroy_environment',
  'list_environments',
  'execute',
  'write_file',
  'read_file',
  'list_files',
  'install_packages',
]

let house: House
let base: string
const audit = new MemoryAudit()

beforeAll(async () => {
  house = await openHouse({ mcp: { runtimes: new StubRuntimes(), settings: { maxEnvironments: 50 } }, audit })
  base = await house.listen()
})
afterAll(() => house[Symbol.asyncDispose]())

describe.each(ERAS)('a client of the %s era', (era) => {
  test('has the tools, with schemas and hints', async () => {
    await using caller = await connectMcp(base, era)
    expect(caller.client.getNegotiatedProtocolVersion()).toBe(era === 'legacy' ? '2025-11-25' : '2026-07-28')
    const { tools } = await caller.client.listTools()
    expect(tools.map(({ name }) => name)).toEqual(expect.arrayContaining(TOOLS))
    for (const { name, description, inputSchema, outputSchema, annotations } of tools) {
      expect(description, name).toBeTruthy()
      expect(inputSchema, name).toMatchObject({ type: 'object', additionalProperties: false })
      expect(outputSchema, name).toMatchObject({ type: 'object' })
      expect(annotations?.readOnlyHint, name).toBeTypeOf('boolean')
    }
  })

  test('creates, uses and destroys an environment', async () => {
    await using caller = await connectMcp(base, era)
    const id = await createEnvironment(caller, { name: `story-${era}`, timeout_minutes: 5, template: 'oci:alpine' })
    expect((await house.server.sandboxes.get({ project: 'default' }, id)).spec.from).toEqual({
      kind: 'source',
      source: 'oci:alpine',
    })
    const listed = await caller.call('list_environments')
    expect(listed.facts['environments']).toContainEqual(
      expect.objectContaining({ environment_id: id, name: `story-${era}`, runtime: 'python', timeout: '5m' }),
    )
    expect(JSON.parse(listed.text)).toEqual(listed.facts)
    const ran = await caller.call('execute', { environment_id: `story-${era}`, code: 'print(1)' })
    expect(ran.facts).toMatchObject({ stdout: 'ran python\n', exit_code: 0, truncated: false, timeout_seconds: 30 })
    const other = await caller.call('execute', {
      environment_id: id,
      code: 'x',
      language: 'node',
      timeout_seconds: 900,
    })
    expect(other.facts).toMatchObject({ stdout: 'ran node\n', timeout_seconds: 300 })
    const installed = await caller.call('install_packages', { environment_id: id, packages: ' a  b\nc ' })
    expect(installed.facts).toMatchObject({ stdout: 'a,b,c' })
    const gone = await caller.call('destroy_environment', { environment_id: id })
    expect(gone.facts).toMatchObject({ status: 'destroyed' })
    expect((await caller.call('destroy_environment', { environment_id: id })).isError).toBe(false)
    const after = await caller.call('list_files', { environment_id: id })
    expect(after).toMatchObject({ isError: true, text: expect.stringContaining('has ended (deleted)') })
  })

  test('reads back every byte that it has written', async () => {
    await using caller = await connectMcp(base, era)
    const id = await createEnvironment(caller)
    const all = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
    const content = all.toString('base64')
    const path = '/data.bin'
    const written = await caller.call('write_file', { environment_id: id, path, content, encoding: 'base64' })
    expect(written.facts).toEqual({ status: 'written', path, bytes_written: 256 })
    const read = await caller.call('read_file', { environment_id: id, path })
    expect(read.facts).toMatchObject({ encoding: 'base64', content, size: 256 })
    expect(read.text).toContain('It is not UTF-8')
    expect(read.result.content[1]).toMatchObject({ type: 'resource', resource: { blob: content } })

    const text = 'grüße\n\u{1f30a} no newline at the end'
    await caller.call('write_file', { environment_id: id, path: '/t.txt', content: text })
    expect(await caller.call('read_file', { environment_id: id, path: '/t.txt' })).toMatchObject({
      text,
      facts: { encoding: 'utf-8', content: text },
    })
    const part = await caller.call('read_file', { environment_id: id, path: '/t.txt', offset: 2, length: 2 })
    expect(part.facts).toMatchObject({ content: 'ü', bytes_read: 2, offset: 2 })
    await caller.call('write_file', { environment_id: id, path: '/empty', content: '' })
    expect((await caller.call('read_file', { environment_id: id, path: '/empty' })).facts['content']).toBe('')
    const png = Buffer.from('89504e470d0a1a0a00ff', 'hex').toString('base64')
    await caller.call('write_file', { environment_id: id, path: '/i.png', content: png, encoding: 'base64' })
    const image = await caller.call('read_file', { environment_id: id, path: '/i.png' })
    expect(image.result.content[1]).toEqual({ type: 'image', data: png, mimeType: 'image/png' })
  })

  test.each([
    ['execute', { environment_id: 'a', code: 'x', tiemout: 1, "'$(x)": 2 }, /unknown arguments "tiemout", "'\$\(x\)"/],
    ['execute', { environment_id: 'a' }, /code is required/],
    ['execute', { environment_id: 7, code: 'x' }, /environment_id is wrong: .*string/],
    ['execute', { environment_id: 'a', code: '' }, /code is wrong: must not be empty/],
    ['execute', { environment_id: 'a', code: 'x', language: 'perl' }, /language is wrong/],
    ['execute', { environment_id: 'a', code: 'x', timeout_seconds: 'soon' }, /timeout_seconds is wrong: .*number/],
    ['create_environment', {}, /runtime is required \(python, node, shell\)/],
    ['create_environment', { runtime: 'python', timeout_minutes: 61 }, /more than the maximum of 60/],
    ['create_environment', { runtime: 'python', name: 'No Such' }, /name is wrong/],
    ['create_environment', { runtime: 'python', template: 'moon' }, /there is no template "moon"/],
    ['create_environment', { runtime: 'python', template: 'directory:/root' }, /for its operator/],
    ['destroy_environment', {}, /environment_id is required/],
    ['list_environments', { all: true }, /unknown argument "all"/],
    ['write_file', { environment_id: 'a', path: 'relative', content: '' }, /must be absolute/],
    ['write_file', { environment_id: 'a', path: '/x', content: 'a*', encoding: 'base64' }, /content is not base64/],
    ['write_file', { environment_id: 'a', path: '/x', content: '\ud800' }, /lone surrogate/],
    ['install_packages', { environment_id: 'a', packages: ' ' }, /must name a package/],
    ['start_process', { environment_id: 'a', command: '€'.repeat(40_000) }, /command has 120000 bytes; at most 100000/],
    ['read_file', { environment_id: 'nope', path: '/x' }, /there is no sandbox "nope"/],
  ])('is told what is wrong with %s %j', async (name, args, problem) => {
    await using caller = await connectMcp(base, era)
    const { isError, text } = await caller.call(name, args)
    expect(isError).toBe(true)
    expect(text).toMatch(problem)
    expect(text).toMatch(/\ncode: [a-z-]+\nfix: [A-Z].*\.$/)
  })

  test('gets a clear answer to 10 MB of code, and to what is larger still', async () => {
    await using caller = await connectMcp(base, era)
    const id = await createEnvironment(caller)
    const big = await caller.call('execute', { environment_id: id, code: 'x'.repeat(10_000_000) })
    expect(big).toMatchObject({
      isError: true,
      text: expect.stringContaining('code has 10000000 bytes; at most 512000'),
    })
    const most = await caller.call('execute', { environment_id: id, code: '#'.repeat(512_000) })
    expect(most.isError).toBe(false)
    const huge = caller.call('execute', { environment_id: id, code: 'x'.repeat(40_000_000) })
    await expect(huge).rejects.toThrow(/at most 33554432 bytes/)
    expect((await caller.call('list_environments')).isError).toBe(false)
  })

  test('cannot fill the memory with files that it does not take', async () => {
    await using own = await openHouse({ mcp: { runtimes: new StubRuntimes(), settings: { filesBytes: 140_000_000 } } })
    const server = await own.listen()
    await using caller = await connectMcp(server, era)
    const id = await createEnvironment(caller)
    const path = '/big'
    const most = 10 * 1024 * 1024
    await caller.call('write_file', { environment_id: id, path, content: 'x'.repeat(most) })
    const beyond = await caller.call('read_file', { environment_id: id, path, offset: 2 * most })
    expect(beyond.facts).toMatchObject({ content: '', size: most, bytes_read: 0 })
    const slow: ClientRequest[] = []
    for (let i = 0; i < 2; i++) slow.push(await askSlowly(server, { environment_id: id, path }))
    const refused = await caller.call('read_file', { environment_id: id, path })
    expect(refused).toMatchObject({ isError: true, text: expect.stringContaining('code: busy') })
    expect((await caller.call('read_file', { environment_id: id, path, length: 5 })).text).toBe('xxxxx')
    for (const one of slow) one.destroy()
    const again = () => caller.call('read_file', { environment_id: id, path })
    await expect.poll(async () => (await again()).isError, { timeout: 10_000 }).toBe(false)
    // What was taken leaves room for the next.
    for (let i = 0; i < 3; i++) expect((await again()).isError).toBe(false)
  })

  test('makes as many environments as it may at the same time, and no more', async () => {
    await using own = await openHouse({ mcp: { settings: { maxEnvironments: 3 } } })
    await using caller = await connectMcp(await own.listen(), era)
    const made = await Promise.all(
      Array.from({ length: 9 }, () => caller.call('create_environment', { runtime: 'shell' })),
    )
    expect(made.filter(({ isError }) => !isError)).toHaveLength(3)
    expect((await caller.call('create_environment', { runtime: 'shell' })).text).toContain('code: quota-exceeded')
    await caller.call('destroy_environment', {
      environment_id: String(made.find((one) => !one.isError)?.facts['name']),
    })
    expect((await caller.call('create_environment', { runtime: 'shell' })).isError).toBe(false)
  })

  test('is told the progress of a call, and ends it by cancelling', async () => {
    const runtimes = new StubRuntimes()
    await using own = await openHouse({ mcp: { runtimes } })
    await using caller = await connectMcp(await own.listen(), era)
    const id = await createEnvironment(caller)
    const notes: string[] = []
    const leaving = new AbortController()
    const call = caller.call(
      'execute',
      { environment_id: id, code: 'wait' },
      { signal: leaving.signal, onprogress: ({ message = '' }) => void notes.push(message) },
    )
    await runtimes.waiting.promise
    await expect.poll(() => notes.length).toBeGreaterThan(0)
    expect(notes[0]).toMatch(/^running python code: 0s/)
    leaving.abort()
    await expect(call).rejects.toThrow(/abort/i)
    await runtimes.ended.promise
    expect((await caller.call('list_environments')).facts['count']).toBe(1)
  })

  test('leaves nothing behind when it cancels a create', async () => {
    await using own = await openHouse()
    await using caller = await connectMcp(await own.listen(), era)
    const begun = Promise.withResolvers<void>()
    const finish = Promise.withResolvers<void>()
    own.node.onCreate = () => {
      begun.resolve()
      return finish.promise
    }
    const leaving = new AbortController()
    const call = caller.call('create_environment', { runtime: 'shell', name: 'unwanted' }, { signal: leaving.signal })
    await begun.promise
    leaving.abort()
    await expect(call).rejects.toThrow(/abort/i)
    // The cancellation has come before the machine is there.
    await caller.call('list_environments')
    finish.resolve()
    await expect.poll(async () => (await caller.call('list_environments')).facts['count']).toBe(0)
    expect(own.node.machines.size).toBe(0)
  })

  test('loses what it was doing when its key is revoked', async () => {
    const revoking = new AbortController()
    const principal: Principal = {
      key: 'short',
      project: 'default',
      role: 'member',
      operator: false,
      ended: revoking.signal,
    }
    const isGood = (): boolean => !revoking.signal.aborted
    const keys: KeyRing = { verify: async () => (isGood() ? principal : undefined), knows: isGood }
    const runtimes = new StubRuntimes()
    await using own = await openHouse({ mcp: { runtimes }, keys })
    await using caller = await connectMcp(await own.listen(), era)
    const id = await createEnvironment(caller)
    const call = caller.call('execute', { environment_id: id, code: 'wait' })
    await runtimes.waiting.promise
    const lost = call.catch((error: unknown) => error)
    revoking.abort(new CoveError('unauthenticated', 'the key was revoked'))
    await runtimes.ended.promise
    await caller.client.close()
    expect(await lost).toBeInstanceOf(Error)
  })

  test('may only look with the key of a viewer', async () => {
    const principal: Principal = { key: 'eye', project: 'default', role: 'viewer', operator: false }
    await using own = await openHouse({ keys: { verify: async () => principal, knows: () => true } })
    await using caller = await connectMcp(await own.listen(), era)
    expect((await caller.call('list_environments')).facts['count']).toBe(0)
    const refused = await caller.call('create_environment', { runtime: 'python' })
    expect(refused).toMatchObject({ isError: true, text: expect.stringContaining('needs a key with the role member') })
  })
})

test('a call that is done at once is answered in one piece, and one that goes on opens its stream', async () => {
  const runtimes = new StubRuntimes()
  await using own = await openHouse({ mcp: { runtimes } })
  const server = await own.listen()
  await using caller = await connectMcp(server, 'modern')
  const id = await createEnvironment(caller)
  const { answer: soon } = await askRaw(server, 'execute', { environment_id: id, code: 'x' })
  expect(soon.headers).toMatchObject({ 'content-type': expect.stringContaining('event-stream') as string })
  expect(Number(soon.headers['content-length'])).toBeGreaterThan(100)
  expect(await textOf(soon)).toMatch(/^event: message\ndata: \{.*"ran python\\\\n.*\n\n$/)
  const { answer: late, sent } = await askRaw(server, 'execute', { environment_id: id, code: 'wait' })
  expect(late.headers['content-length']).toBeUndefined()
  const [first] = (await once(late, 'data')) as [Buffer]
  expect(first.toString()).toBe(':\n\n')
  late.on('error', () => undefined)
  sent.destroy()
  await runtimes.ended.promise
})

test('what changes something is in the audit log, without content', async () => {
  await using caller = await connectMcp(base, 'modern')
  const id = await createEnvironment(caller)
  await caller.call('write_file', { environment_id: id, path: '/secret', content: 'hush' })
  await caller.call('execute', { environment_id: id, code: 'hush()' })
  await caller.call('execute', { environment_id: 'nowhere', code: 'hush()' })
  const { records } = await audit.list({ project: 'default', failed: false, size: 4 })
  expect(records.map(({ action, target, outcome }) => ({ action, target, outcome }))).toEqual([
    { action: 'mcp/execute', target: 'nowhere', outcome: 'sandbox-not-found' },
    { action: 'mcp/execute', target: id, outcome: 'ok' },
    { action: 'mcp/write_file', target: id, outcome: 'ok' },
    { action: 'mcp/create_environment', target: id, outcome: 'ok' },
  ])
  expect(records[0]).toMatchObject({ project: 'default', key: 'test', role: 'admin', from: '127.0.0.1' })
  expect(JSON.stringify(records)).not.toContain('hush')
})

/** Asks for a file and reads no more of the answer than its head. */
async function askSlowly(server: string, args: Record<string, unknown>): Promise<ClientRequest> {
  const { sent, answer } = await askRaw(server, 'read_file', args)
  answer.pause().on('error', () => undefined)
  return sent
}

async function askRaw(server: string, name: string, args: Record<string, unknown>) {
  const revision = '2026-07-28'
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': revision,
    'io.modelcontextprotocol/clientInfo': { name: 'slow', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  }
  const sent = request(`${server}/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${KEY}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': revision,
      'mcp-method': 'tools/call',
      'mcp-name': name,
    },
  })
  const params = { name, arguments: args, _meta }
  sent.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }))
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  return { sent, answer }
}
