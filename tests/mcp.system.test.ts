import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import {
  ERAS,
  connectMcp,
  createEnvironment,
  mcpCaller,
  type Era,
  type McpCaller,
} from '../packages/server/test/support/mcp.ts'
import { MAIN, TestDaemon } from './support/daemon.ts'

let daemon: TestDaemon

beforeAll(async () => {
  daemon = await TestDaemon.start(['--mcp-max-idle-timeout', '2h', '--mcp-max-output', '2KiB'])
})
afterAll(() => daemon[Symbol.asyncDispose]())

const WAYS = ['http', 'stdio'] as const
const MODES = { legacy: 'legacy', modern: { pin: '2026-07-28' } } as const

async function connect(way: (typeof WAYS)[number], era: Era): Promise<McpCaller> {
  if (way === 'http') return connectMcp(daemon.url, era, daemon.apiKey)
  return connectStdio(era, { COVE_DATA_DIR: daemon.dataDir })
}

async function connectStdio(era: Era, env: Record<string, string>, args: readonly string[] = []): Promise<McpCaller> {
  const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: MODES[era] } })
  const command = { command: process.execPath, args: ['--disable-warning=ExperimentalWarning', MAIN, 'mcp', ...args] }
  await client.connect(new StdioClientTransport({ ...command, env: { PATH: process.env['PATH'] ?? '', ...env } }))
  return mcpCaller(client)
}

describe.each(WAYS)('over %s', (way) => {
  test.each(ERAS)('an agent of the %s era works in a real environment', async (era) => {
    await using caller = await connect(way, era)
    const id = await createEnvironment(caller, { timeout_minutes: 90 })
    const run = (code: string, args: Record<string, unknown> = {}) =>
      caller.call('execute', { environment_id: id, code, ...args })

    const one = await run('import sys; print(1); print("two", file=sys.stderr); sys.exit(3)')
    expect(one.facts).toMatchObject({ stdout: '1\n', stderr: 'two\n', exit_code: 3, timed_out: false })
    const shell = await run('echo $0; kill -9 $$', { language: 'shell' })
    expect(shell.facts).toMatchObject({ exit_code: null, exit: 'was killed by signal 9' })
    const late = await run('import time\nprint("begun", flush=True)\ntime.sleep(60)', { timeout_seconds: 0.5 })
    expect(late.facts).toMatchObject({ stdout: 'begun\n', exit_code: null, timed_out: true })
    const long = await run('print("a" * 1000000 + "z")')
    expect(long.facts).toMatchObject({ truncated: true })
    expect(String(long.facts['stdout'])).toMatch(/^a{1024}\n\[\.\.\. \d+ bytes left out \.\.\.\]\na{1022}z\n$/)
    const huge = await run('x'.repeat(10_000_000))
    expect(huge).toMatchObject({ isError: true, text: expect.stringContaining('at most 512000 are allowed') })
    await expect(run('x'.repeat(34_000_000))).rejects.toThrow(/at most 33554432 bytes/)
    const large = await run(`${'#'.repeat(511_000)}\nprint("end")`)
    expect(large.facts['stdout']).toBe('end\n')

    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, index) => (index * 7) % 256))
    const path = '/home/user/deep/data.bin'
    const content = bytes.toString('base64')
    await caller.call('write_file', { environment_id: id, path, content, encoding: 'base64' })
    const sum = await run(`import hashlib; print(len(open(${JSON.stringify(path)}, 'rb').read()))`)
    expect(sum.facts['stdout']).toBe('70000\n')
    expect((await caller.call('read_file', { environment_id: id, path })).facts['content']).toBe(content)
    const files = await caller.call('list_files', { environment_id: id, path: '/home/user/deep' })
    expect(files.facts['files']).toMatchObject([{ name: 'data.bin', size: 70_000, is_dir: false, mode: '0644' }])
    const missing = await caller.call('read_file', { environment_id: id, path: '/home/user/none' })
    expect(missing.text).toMatch(/code: file-not-found\nfix: /)
    expect((await caller.call('destroy_environment', { environment_id: id })).facts['status']).toBe('destroyed')
  })
})

test('a background process is started, read bit by bit, fed and stopped', async () => {
  await using caller = await connect('http', 'modern')
  const id = await createEnvironment(caller, { runtime: 'shell' })
  const start = (command: string, args: Record<string, unknown> = {}) =>
    caller.call('start_process', { environment_id: id, command, ...args })
  const read = (process: unknown, offset: unknown = 0) =>
    caller.call('read_process', { environment_id: id, process_id: process, offset, wait_seconds: 20 })

  const { facts: cat } = await start('echo "$GREETING"; cat; echo over', { stdin: true, env: { GREETING: 'grüße' } })
  expect(cat).toMatchObject({ running: true, exit_code: null })
  const first = await read(cat['process_id'])
  expect(first.facts).toMatchObject({ output: 'grüße\n', running: true, missed_bytes: 0 })
  const input = { environment_id: id, process_id: cat['process_id'], input: 'fed\n' }
  await caller.call('write_process', input)
  const second = await read(cat['process_id'], first.facts['next_offset'])
  expect(second.facts).toMatchObject({ output: 'fed\n', running: true })
  const beyond = await read(cat['process_id'], 1_000_000)
  expect(beyond).toMatchObject({ isError: true, text: expect.stringMatching(/there are \d+ bytes of output/) })
  await caller.call('write_process', { ...input, input: '', close: true })
  await expect
    .poll(async () => (await read(cat['process_id'], second.facts['next_offset'])).facts)
    .toMatchObject({ output: 'over\n', running: false, exit_code: 0 })

  const { facts: server } = await start('trap "" TERM; while :; do sleep 1; done')
  const listed = await caller.call('list_processes', { environment_id: id })
  expect(listed.facts['processes']).toContainEqual(
    expect.objectContaining({ process_id: server['process_id'], running: true }),
  )
  const stop = { environment_id: id, process_id: server['process_id'], grace_seconds: 0.2 }
  expect((await caller.call('stop_process', stop)).facts).toMatchObject({ exit: 'was killed by signal 9' })
  expect((await caller.call('stop_process', stop)).facts).toMatchObject({ exit: 'was killed by signal 9' })

  const { facts: loud } = await start('head -c 400000 /dev/zero | tr "\\0" x; echo; sleep 60')
  await expect
    .poll(async () => (await caller.call('list_processes', { environment_id: id })).facts['processes'])
    .toContainEqual(expect.objectContaining({ process_id: loud['process_id'], output_bytes: 400_001 }))
  const oldest = await read(loud['process_id'])
  expect(oldest.facts).toMatchObject({ truncated: true, running: true })
  expect(Number(oldest.facts['missed_bytes'])).toBeGreaterThan(100_000)
  await caller.call('destroy_environment', { environment_id: id })
})

test('a port is listed, shared and linked to', async () => {
  await using caller = await connect('http', 'modern')
  const id = await createEnvironment(caller)
  const command = 'python3 -u -c "import socket; s=socket.create_server((\'127.0.0.1\',8123)); print(1); s.accept()"'
  const { facts } = await caller.call('start_process', { environment_id: id, command })
  const process = { environment_id: id, process_id: facts['process_id'], wait_seconds: 20 }
  expect((await caller.call('read_process', process)).facts['output']).toBe('1\n')
  const listed = await caller.call('list_ports', { environment_id: id })
  expect(listed.facts['ports'], listed.text).toMatchObject([{ port: 8123, listening: true, public: false }])
  const shared = await caller.call('share_port', { environment_id: id, port: 8123, public: true })
  expect(shared.facts).toMatchObject({ public: true, url: expect.stringContaining(`8123-${id}.`) })
  const link = await caller.call('preview_url', { environment_id: id, port: 8123, path: '/a?b=1' })
  expect(link.facts['url']).toMatch(/\/a\?b=1&token=/)
  await caller.call('destroy_environment', { environment_id: id })
})

test('cancelling a call ends the code that it runs', async () => {
  await using caller = await connect('stdio', 'legacy')
  const id = await createEnvironment(caller)
  const leaving = new AbortController()
  const begun = Promise.withResolvers<void>()
  const onprogress = ({ message = '' }): void => {
    if (/[1-9]\d* B of output/.test(message)) begun.resolve()
  }
  const code = 'import time\nprint("x", flush=True)\ntime.sleep(300)'
  const call = caller.call('execute', { environment_id: id, code }, { signal: leaving.signal, onprogress })
  await begun.promise
  leaving.abort()
  await expect(call).rejects.toThrow(/abort/i)
  const running = async () => {
    const { facts } = await caller.call('list_processes', { environment_id: id })
    return (facts['processes'] as { running: boolean }[]).filter((one) => one.running).length
  }
  await expect.poll(running, { timeout: 15_000 }).toBe(0)
  await caller.call('destroy_environment', { environment_id: id })
})

test('a call whose environment is destroyed under it is told so', async () => {
  await using caller = await connect('http', 'legacy')
  const id = await createEnvironment(caller)
  const begun = Promise.withResolvers<void>()
  const onprogress = ({ message = '' }): void => {
    if (/[1-9]\d* B of output/.test(message)) begun.resolve()
  }
  const code = 'import time\nprint("x", flush=True)\ntime.sleep(300)'
  const call = caller.call('execute', { environment_id: id, code, timeout_seconds: 200 }, { onprogress })
  await begun.promise
  await using other = await connect('http', 'modern')
  await other.call('destroy_environment', { environment_id: id })
  expect(await call).toMatchObject({ isError: true, text: expect.stringContaining('has ended (deleted)') })
})

describe('cove mcp', () => {
  test('starts a Cove in the background where none runs, and goes on across its restart', async () => {
    await using own = await TestDaemon.start()
    await using after = new AsyncDisposableStack()
    const env = { COVE_DATA_DIR: own.dataDir, COVE_LISTEN: '127.0.0.1:0' }
    await using kept = await connectStdio('legacy', env)
    const id = await createEnvironment(kept, { runtime: 'shell' })
    await own.end('SIGTERM')
    // Whatever comes of it, the one in the background ends.
    after.defer(async () => void (await own.cove(['down'])))
    await expect(kept.call('list_environments')).rejects.toThrow(/cannot be reached|not running/)
    await using starter = await connectStdio('modern', env)
    expect((await starter.call('list_environments')).facts['count']).toBe(1)
    const ran = await kept.call('execute', { environment_id: id, code: 'echo again' })
    expect(ran.facts).toMatchObject({ stdout: 'again\n' })
  })

  test('says why nothing works where it may start nothing, and ends with its input', async () => {
    const child = spawn(process.execPath, [MAIN, 'mcp', '--no-start'], {
      env: { PATH: process.env['PATH'] ?? '', COVE_DATA_DIR: '/nonexistent' },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stdin.end('{"jsonrpc":"2.0","id":"one","method":"ping"}\nno json\n')
    const [status] = (await once(child, 'close')) as [number]
    expect(status).toBe(0)
    const [first, second] = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    const told = [first, second].toSorted((one) => (one?.['id'] === 'one' ? -1 : 1))
    expect(told).toMatchObject([
      { id: 'one', error: { message: expect.stringMatching(/not running\. Start Cove with/) } },
      { id: null, error: { code: -32_700 } },
    ])
  })

  test('ends at SIGTERM, and what it asked for ends with it', async () => {
    const caller = await connectStdio('modern', { COVE_DATA_DIR: daemon.dataDir })
    const id = await createEnvironment(caller)
    const code = 'import time\nopen("/home/user/begun", "w").close()\ntime.sleep(300)'
    const lost = caller.call('execute', { environment_id: id, code }).catch((error: unknown) => error)
    await using other = await connect('http', 'modern')
    const files = async () => JSON.stringify((await other.call('list_files', { environment_id: id })).facts['files'])
    await expect.poll(files, { timeout: 15_000 }).toContain('"begun"')
    await caller.client.close()
    expect(await lost).toBeInstanceOf(Error)
    const running = async () => {
      const { facts } = await other.call('list_processes', { environment_id: id })
      return (facts['processes'] as { running: boolean }[]).filter((one) => one.running).length
    }
    await expect.poll(running, { timeout: 15_000 }).toBe(0)
    await other.call('destroy_environment', { environment_id: id })
  })
})

test('bad settings are an error at the start', async () => {
  for (const [flag, value, problem] of [
    ['--mcp-exec-timeout', '10m', 'mcpExecTimeout is longer than mcpMaxExecTimeout'],
    ['--runtime-python', 'python3; rm -rf /', 'runtimePython: "python3; rm -rf /" is not an absolute path'],
    ['--mcp-max-environments', '0', 'is not a whole number from 1 to 100000'],
  ] as const) {
    await expect(TestDaemon.start([flag, value])).rejects.toThrow(problem)
  }
})
