import { createServer } from 'node:net'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCove, TestDaemon } from './support/daemon.ts'
import { commandsWith } from './support/host-commands.ts'

describe('cove up', () => {
  let daemon: TestDaemon
  beforeAll(async () => {
    daemon = await TestDaemon.start()
  })
  afterAll(() => daemon[Symbol.asyncDispose]())

  it('says where it listens, where the key is, and what was proven', () => {
    expect(daemon.output).toContain(`API       ${daemon.url}`)
    expect(daemon.output).toContain(`API key   ${daemon.dataDir}/api-key`)
    expect(daemon.output).toMatch(/bubblewrap\s+namespace\s+proven .*<- default/)
    expect(daemon.output).not.toContain(daemon.apiKey)
    expect(statSync(join(daemon.dataDir, 'api-key')).mode & 0o777).toBe(0o600)
  })

  it('refuses to start twice, and says which one runs', async () => {
    const second = await runCove(['up', '--data-dir', daemon.dataDir, '--listen', '127.0.0.1:0'])
    expect(second).toMatchObject({ status: 1, stdout: '' })
    expect(second.stderr).toContain(`Cove runs already: ${daemon.url}`)
    expect(second.stderr).toMatch(/^fix: /m)
  })

  it('refuses an address that is taken, says what to do, and leaves nothing running', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    const refused = await runCove(['up', '--data-dir', folder, '--listen', `127.0.0.1:${port}`])
    expect(refused.status).toBe(1)
    expect(refused.stderr).toMatch(/error: .*in use[^]*fix: /)
    const installation = readFileSync(join(folder, 'installation'), 'utf8').trim()
    expect(await commandsWith(installation)).toEqual([])
    expect(existsSync(join('/run', `cove-${installation}`))).toBe(false)
    rmSync(folder, { recursive: true })
    server.close()
  })

  it('refuses a wrong setting before it touches anything', async () => {
    const wrong = await runCove(['up', '--idle-timeout', 'soon'])
    expect(wrong.status).toBe(1)
    expect(wrong.stderr).toContain('--idle-timeout')
    expect(wrong.stderr).toMatch(/^fix: /m)
  })

  it('shows itself in status, and its settings with their sources', async () => {
    const status = await daemon.cove(['status', '-o', 'json'])
    expect(JSON.parse(status.stdout)).toMatchObject({ running: true, url: daemon.url, pid: daemon.pid })
    const view = await daemon.cove(['config', 'view', '-o', 'json'], { env: { COVE_MAX_SANDBOXES: '7' } })
    const { settings } = JSON.parse(view.stdout) as { settings: { name: string; value: string; source: string }[] }
    expect(settings.find(({ name }) => name === 'maxSandboxes')).toMatchObject({ value: '7', source: 'environment' })
  })

  it('proves drivers in doctor, also beside a running daemon', async () => {
    const { status, stdout } = await daemon.cove(['doctor', '-o', 'json'])
    expect(status).toBe(0)
    const { drivers } = JSON.parse(stdout) as { drivers: { name: string; fingerprint: { proven: boolean } }[] }
    expect(drivers.map(({ name, fingerprint }) => [name, fingerprint.proven])).toEqual([
      ['bubblewrap', true],
      ['native', true],
    ])
  })

  it('offers native only where that is allowed, and says each time that it is no wall', async () => {
    const refused = await daemon.cove(['create', '--driver', 'native'])
    expect(refused).toMatchObject({ status: 1, stdout: '' })
    expect(refused.stderr).toContain('native: there is no such driver, only bubblewrap')
    await using other = await TestDaemon.start(['--allow-native'])
    expect(other.output).toMatch(/native +process .*no wall/)
    const made = await other.cove(['create', '--driver', 'native', '--name', 'open'])
    expect(made).toMatchObject({ status: 0, stderr: expect.stringContaining('no wall around this sandbox') })
    expect((await other.client().sandboxes.get('open')).info.isolation).toBe('process')
    expect((await other.cove(['run', '--driver', 'native', 'true'])).stderr).toContain('no wall around this sandbox')
    expect(await other.cove(['run', 'true'])).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  it('ends cleanly on SIGINT, says what keeps running, and finds it again', async () => {
    const box = await daemon.client().sandboxes.create()
    const job = await box.start(['sh', '-c', 'echo before; read line; echo "after $line"'], { id: 'job', stdin: true })
    for await (const event of job.events()) if (event.type === 'output') break
    expect(await daemon.end('SIGINT')).toBe(0)
    expect(daemon.output).toContain('1 sandbox keeps running')
    await daemon.start()
    expect(daemon.output).toContain('Adopted   1 running sandbox')
    const again = await (await daemon.client().sandboxes.get(box.id)).processes.attach('job', { from: 0 })
    await again.write('all\n')
    let text = ''
    for await (const event of again.events()) if (event.type === 'output') text += Buffer.from(event.data).toString()
    expect(text).toBe('before\nafter all\n')
    await daemon.client().sandboxes.delete(box.id)
  })

  it('ends in its time although a call goes on, and the process inside goes on too', async () => {
    const log = join(mkdtempSync(join(tmpdir(), 'cove-test-')), 'cove.log')
    await using other = await TestDaemon.start(['--shutdown-grace=300ms', `--log-file=${log}`, '--log-level=debug'])
    const box = await other.client().sandboxes.create()
    const call = request(`${other.url}/cove.v1.ProcessService/RunProcess`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${other.apiKey}`,
        'content-type': 'application/json',
        'x-request-id': 'long-call',
      },
    })
    call.on('error', () => {})
    call.end(JSON.stringify({ sandbox: box.id, command: { argv: ['sleep', '61'], processId: 'called' } }))
    const ids = async () => (await box.processes.list()).map(({ id }) => id)
    await expect.poll(ids).toEqual(['called'])
    const begun = performance.now()
    expect(await other.end('SIGTERM')).toBe(0)
    expect(performance.now() - begun).toBeLessThan(5_000)
    await other.start()
    const { processes } = await other.client().sandboxes.get(box.id)
    expect((await processes.list()).map(({ id, exit }) => [id, exit])).toEqual([['called', undefined]])
    const lines = readFileSync(log, 'utf8').trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line) as unknown)).toContainEqual(
      expect.objectContaining({ msg: 'request', requestId: 'long-call', method: 'POST' }),
    )
    expect(lines.join('\n')).not.toContain(other.apiKey)
    rmSync(dirname(log), { recursive: true })
  })

  it('loses nothing when it is killed', async () => {
    const box = await daemon.client().sandboxes.create({ name: 'survivor' })
    await box.files.write('/home/user/note', 'kept')
    await daemon.end('SIGKILL')
    await daemon.start()
    const found = await daemon.client().sandboxes.get('survivor')
    expect(found.info).toMatchObject({ id: box.id, state: 'running', incarnation: 1 })
    expect(await found.files.readText('/home/user/note')).toBe('kept')
    await found.delete()
  })

  it('runs the command of the README, with its exit status', async () => {
    expect(await daemon.cove(['run', 'python', '-c', 'print(6*7)'])).toEqual({ status: 0, stdout: '42\n', stderr: '' })
    expect((await daemon.cove(['run', 'sh', '-c', 'exit 7'])).status).toBe(7)
    expect((await daemon.cove(['run', 'sh', '-c', 'kill -9 $$'])).status).toBe(137)
    expect(await Array.fromAsync(daemon.client().sandboxes.list())).toEqual([])
  })
})

const NOBODY = 65_534

async function canRunCove(uid: number): Promise<boolean> {
  try {
    return (await runCove(['version'], { uid })).status === 0
  } catch {
    return false
  }
}

// An ordinary user who runs these tests has told the story above already.
describe.runIf(process.getuid?.() === 0)('cove up as an ordinary user', () => {
  it('isolates with what such a user has, and refuses limits that it cannot keep', async (context) => {
    if (!(await canRunCove(NOBODY))) context.skip('other users cannot read this checkout')
    await using daemon = await TestDaemon.start([], { uid: NOBODY })
    expect(daemon.output).toMatch(/bubblewrap\s+namespace\s+proven/)
    // Nothing that his logging out would take away.
    expect(existsSync(join(daemon.dataDir, 'run/l'))).toBe(true)
    expect(await daemon.cove(['run', 'sh', '-c', 'id -un; echo $HOME'])).toMatchObject({
      status: 0,
      stdout: 'user\n/home/user\n',
    })
    const cove = daemon.client()
    await expect(cove.sandboxes.create({ limits: { memoryBytes: 64 * 1024 * 1024 } })).rejects.toMatchObject({
      code: 'limit-not-enforceable',
    })
    const box = await cove.sandboxes.create()
    expect(box.info.limits.filter(({ enforced }) => enforced)).toEqual([])
    expect((await box.run(['cat', '/proc/1/comm'])).ok).toBe(true)
    await daemon.end('SIGKILL')
    await daemon.start()
    expect((await daemon.client().sandboxes.get(box.id)).info.state).toBe('running')
  })
})

describe('cove up --detach', () => {
  it('returns when the daemon is ready, and down ends it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    const env = { COVE_DATA_DIR: folder, COVE_LISTEN: '127.0.0.1:0' }
    const up = await runCove(['up', '--detach'], { env })
    expect(up).toMatchObject({ status: 0, stdout: expect.stringMatching(/^Cove .* is ready in /) })
    expect(await runCove(['run', 'echo', 'hello'], { env })).toMatchObject({ status: 0, stdout: 'hello\n' })
    expect(await runCove(['status'], { env })).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('bubblewrap'),
    })
    const log = join(folder, 'daemon.log')
    expect(statSync(log).mode & 0o777).toBe(0o600)
    expect(readFileSync(log, 'utf8')).toMatch(/"msg":"ready"/)
    expect(await runCove(['down'], { env })).toMatchObject({ status: 0, stdout: 'Cove has stopped.\n' })
    expect((await runCove(['status'], { env })).status).toBe(1)
    rmSync(folder, { recursive: true })
  })

  it('says why the daemon ended when it did not become ready', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    const env = { COVE_DATA_DIR: folder, COVE_LISTEN: '127.0.0.1:0', COVE_LOG_FILE: join(folder, 'nowhere/cove.log') }
    const up = await runCove(['up', '--detach'], { env })
    expect(up).toMatchObject({ status: 1, stdout: '' })
    expect(up.stderr).toMatch(/^error: .*nowhere\/cove\.log.*\nfix: .*\n$/)
    rmSync(folder, { recursive: true })
  })
})

describe('cove without a daemon', () => {
  it('says so, and how to start one', async () => {
    const ended = await runCove(['run', 'true'], { env: { COVE_DATA_DIR: '/nonexistent/cove' } })
    expect(ended.status).toBe(1)
    expect(ended.stderr).toMatch(/^error: /m)
    expect(ended.stderr).toMatch(/^fix: .*cove up/m)
  })

  it('deletes every sandbox with down --all, also those that an ended daemon has left running', async () => {
    await using daemon = await TestDaemon.start()
    expect((await daemon.cove(['create', '-q'])).status).toBe(0)
    expect((await daemon.cove(['down'])).stdout).toContain('1 sandbox keeps running')
    expect(await daemon.cove(['down', '--all'])).toMatchObject({
      status: 0,
      stdout: 'Deleted 1 sandbox.\nCove has stopped.\n',
    })
  })

  it('has nothing to stop', async () => {
    expect(await runCove(['down', '--data-dir', '/nonexistent/cove'])).toMatchObject({
      status: 0,
      stdout: 'Cove is not running.\n',
    })
    expect((await runCove(['status', '--data-dir', '/nonexistent/cove'])).status).toBe(1)
  })
})
