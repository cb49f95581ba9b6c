import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CliProcess } from './support/cli-process.ts'
import { runCove, TestDaemon } from './support/daemon.ts'

describe('access by the command line', () => {
  let daemon: TestDaemon
  let folder: string
  let env: NodeJS.ProcessEnv
  beforeAll(async () => {
    daemon = await TestDaemon.start()
    folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    // A user of another machine: no data directory, only contexts.
    env = { XDG_CONFIG_HOME: folder, HOME: folder, XDG_DATA_HOME: folder }
  })
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })
  const ok = async (...args: readonly string[]): Promise<string> => {
    const { status, stdout, stderr } = await daemon.cove(args)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    return stdout
  }
  const away = (args: readonly string[], input = '') => runCove(args, { env, input, cwd: folder })

  it('lets a user work with several servers by name, and tells no key', async () => {
    const secret = (await ok('key', 'create', '--name', 'ana', '-q')).trim()
    const keyFile = join(folder, 'key')
    writeFileSync(keyFile, `${secret}\n`, { mode: 0o600 })
    expect(await away(['context', 'add', 'lab', '--url', daemon.url, '--key-stdin'], secret)).toMatchObject({
      status: 0,
    })
    expect(await away(['context', 'add', 'dead', '--url', 'http://127.0.0.1:9', '--key-file', keyFile])).toMatchObject({
      status: 0,
    })
    expect(statSync(join(folder, 'cove/contexts.yaml')).mode & 0o777).toBe(0o600)

    expect(await away(['--context', 'lab', 'ls', '-q'])).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(await away(['ls', '-q', '--context', 'lab'])).toEqual({ status: 0, stdout: '', stderr: '' })
    expect((await away(['context', 'use', 'dead'])).status).toBe(0)
    const unreached = await away(['ls'])
    expect(unreached.status).toBe(1)
    expect(unreached.stderr).toContain('Cove does not answer at http://127.0.0.1:9 (context dead)')
    expect(unreached.stderr).toContain('fix: See with `cove context show dead`')
    const inEnvironment = await runCove(['ls', '-q'], { env: { ...env, COVE_CONTEXT: 'lab' }, cwd: folder })
    expect(inEnvironment.status).toBe(0)
    const list = await away(['context', 'ls'])
    expect(list.stdout).toMatch(/^NAME +URL +PROJECT +KEY\nlocal .*\nlab .*kept here\ndead \* .*\/key\n$/)
    for (const args of [
      ['context', 'ls', '-o', 'yaml'],
      ['context', 'show', 'lab'],
      ['context', 'show', 'lab', '--json'],
    ]) {
      expect((await away(args)).stdout).not.toContain(secret.slice(8))
    }

    const replaced = await away(['context', 'add', 'dead', '--url', daemon.url])
    expect(replaced).toMatchObject({ status: 1, stderr: expect.stringContaining('--force') as string })
    expect((await away(['context', 'add', 'dead', '--force', '--url', daemon.url])).status).toBe(0)
    expect((await away(['ls', '-q'])).status).toBe(0)
    writeFileSync(keyFile, 'cove_wrong')
    const wrong = await away(['ls'])
    expect(wrong.stderr).toContain('cove context add dead --force --key-file <file>')
    expect(await away(['context', 'rm', 'dead', 'lab'])).toMatchObject({ status: 0, stdout: 'dead\nlab\n' })
    expect((await away(['context', 'ls', '-q'])).stdout).toBe('local\n')
    expect(await away(['ls', '--context', 'lab'])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('there is no context "lab"; there is: local') as string,
    })
  })

  it.each([
    ['an address that is none', ['context', 'add', 'x', '--url', 'ftp://x'], 2, 'is not an HTTP URL'],
    ['an address with a password', ['context', 'add', 'x', '--url', 'http://a:b@x'], 2, 'holds a password'],
    ['no address', ['context', 'add', 'x'], 2, 'there is no address'],
    ['the name of what is always there', ['context', 'add', 'local', '--url', 'http://x'], 2, 'cannot be the name'],
    [
      'a key file that is not there',
      ['context', 'add', 'x', '--url', 'http://x', '--key-file', '/nowhere'],
      1,
      'ENOENT',
    ],
    ['no key on stdin', ['context', 'add', 'x', '--url', 'http://x', '--key-stdin'], 2, 'there is no key on stdin'],
    ['a context that is not there', ['context', 'use', 'nowhere'], 1, 'there is no context "nowhere"'],
  ])('refuses %s', async (_what, args, status, message) => {
    expect(await away(args)).toMatchObject({ status, stderr: expect.stringContaining(message) as string })
  })

  it('names a broken file of contexts, and what to do', async () => {
    const broken = mkdtempSync(join(tmpdir(), 'cove-test-'))
    try {
      const config = { ...env, XDG_CONFIG_HOME: broken }
      await runCove(['context', 'add', 'a', '--url', 'http://x'], { env: config })
      writeFileSync(join(broken, 'cove/contexts.yaml'), 'contexts: [1')
      const { status, stderr } = await runCove(['ls'], { env: config })
      expect(status).toBe(1)
      expect(stderr).toMatch(/^error: .*contexts\.yaml cannot be understood: .*\nfix: .*\n$/)
    } finally {
      rmSync(broken, { recursive: true, force: true })
    }
  })

  it('makes keys, shows each once, and revokes them', async () => {
    const made = await daemon.cove(['key', 'create', '--name', 'robot', '--role', 'viewer', '--expires-in', '365d'])
    expect(made.stdout).toMatch(/^cove_\w+\n$/)
    expect(made.stderr).toMatch(/^Key \w+: viewer of project default, until \d{4}-.*\nIt is not shown again\..*\n$/)
    const secret = made.stdout.trim()
    const [row] = (JSON.parse(await ok('key', 'ls', '-o', 'json')) as { id: string; name: string }[]).filter(
      ({ name }) => name === 'robot',
    )
    expect(JSON.stringify(row)).not.toContain(secret)
    const asRobot = (args: readonly string[]) => daemon.cove(args, { env: { COVE_API_KEY: secret } })
    expect((await asRobot(['key', 'whoami'])).stdout).toContain('viewer of project default')
    expect((await asRobot(['ls', '-q'])).status).toBe(0)
    const refused = await asRobot(['create'])
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringMatching(/member[\s\S]*fix: /) as string })
    expect(await ok('key', 'revoke', row?.id ?? '')).toBe(`${row?.id}\n`)
    expect((await asRobot(['ls'])).stderr).toContain('fix: ')
    expect(await ok('key', 'ls', '--no-headers')).not.toContain('robot')
    expect(await ok('key', 'ls', '-a')).toMatch(/robot .*revoked/)
  })

  it('keeps projects apart', async () => {
    expect(await ok('project', 'create', 'research', '--description', 'the group')).toBe('research\n')
    const id = (await ok('--project', 'research', 'create', '-q')).trim()
    expect(await ok('ls', '-q')).not.toContain(id)
    expect(await ok('ls', '-q', '--project', 'research')).toContain(id)
    expect((await daemon.cove(['ls', '-q'], { env: { COVE_PROJECT: 'research' } })).stdout).toContain(id)
    const busy = await daemon.cove(['project', 'rm', 'research'])
    expect(busy).toMatchObject({ status: 1, stderr: expect.stringMatching(/^error: .*\nfix: .*\n$/) as string })
    await ok('--project', 'research', 'rm', id)
    expect(await ok('project', 'rm', 'research')).toBe('research\n')
    expect((await daemon.cove(['ls', '--project', 'research'])).stderr).toContain('research')
  })

  it('makes a token that opens one sandbox, and addresses that open one file', async () => {
    await ok('create', '--name', 'mine')
    await ok('create', '--name', 'other')
    const token = (await ok('token', 'mine', '-q')).trim()
    const inside = (args: readonly string[]) => daemon.cove(args, { env: { COVE_API_KEY: token } })
    expect(await inside(['exec', 'mine', 'sh', '-c', 'echo hello > note; cat note'])).toMatchObject({
      stdout: 'hello\n',
    })
    expect((await inside(['exec', 'other', 'true'])).status).not.toBe(0)
    const address = (await ok('sign', 'mine:/home/user/note')).trim()
    expect(await (await fetch(address)).text()).toBe('hello\n')
    const written = (await ok('sign', '--write', 'mine:/home/user/up')).trim()
    expect((await fetch(written, { method: 'PUT', body: 'sent' })).status).toBeLessThan(300)
    expect(await ok('exec', 'mine', 'cat', 'up')).toBe('sent')
    expect(await daemon.cove(['sign', 'mine'])).toMatchObject({ status: 2 })
    await ok('rm', 'mine', 'other')
  })

  it('tells who did what, and goes on telling', async () => {
    await ok('project', 'create', 'told')
    using follow = new CliProcess(['audit', '-f', '--limit', '1', '-o', 'json'], { COVE_DATA_DIR: daemon.dataDir })
    await follow.saw('"action"')
    await ok('create', '--name', 'watched')
    await follow.saw(/"CreateSandbox|CreateSandbox".*"outcome":"ok"/)
    await daemon.cove(['rm', 'watched'])
    follow.kill('SIGINT')
    expect((await follow.ended).status).toBe(130)
    const events = JSON.parse(
      await ok('audit', '--action', 'SandboxService/CreateSandbox', '--json', '--since', '10m'),
    ) as unknown
    const expected = { action: 'SandboxService/CreateSandbox', outcome: 'ok', from: expect.any(String) as string }
    expect(events).toContainEqual(expect.objectContaining(expected))
    expect(await ok('audit', '--limit', '1')).toMatch(/^TIME .*OUTCOME +DETAILS\n\S+Z .*\n$/)
    const failed = JSON.parse(await ok('audit', '--failed', '--json')) as { outcome: string }[]
    expect(failed.every(({ outcome }) => outcome !== 'ok')).toBe(true)
    expect(await daemon.cove(['audit', '--since', 'soon'])).toMatchObject({ status: 2 })
    expect(await ok('audit', '-o', 'yaml')).not.toContain(daemon.apiKey)
  })
})
