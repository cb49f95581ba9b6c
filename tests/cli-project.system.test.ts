import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { CliProcess } from './support/cli-process.ts'
import { MAIN, runCove, TestDaemon } from './support/daemon.ts'
import { ShellTerminal } from './support/shell-terminal.ts'

/** What is served there, as soon as it is. */
async function get(address: string): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await (await fetch(address, { signal: AbortSignal.timeout(5000) })).text()
    } catch (thrown) {
      if (attempt >= 100) throw thrown
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

const addressIn = (line: string): string => `http://${/(127\.0\.0\.1:\d+) ->/.exec(line)?.[1]}/`

describe('a project with a cove.yaml', () => {
  let daemon: TestDaemon
  let folder: string
  beforeAll(async () => {
    daemon = await TestDaemon.start()
  })
  afterAll(() => daemon[Symbol.asyncDispose]())
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  })
  afterEach(async () => {
    rmSync(folder, { recursive: true, force: true })
    await daemon.cove(['rm', '--all'])
  })
  const at = (...args: readonly string[]) => runCove(args, { env: { COVE_DATA_DIR: daemon.dataDir }, cwd: folder })
  const write = (text: string) => writeFileSync(join(folder, 'cove.yaml'), text)
  const forward = (...args: readonly string[]) =>
    new CliProcess(['forward', ...args], { COVE_DATA_DIR: daemon.dataDir }, { cwd: folder })
  const state = async () => (await daemon.cove(['ls', '-q'])).stdout

  it('is begun by cove init, which the other commands then take', async () => {
    writeFileSync(join(folder, 'package.json'), '{"name": "@team/My Shop", "dependencies": {}}')
    expect(await at('init', '--yes')).toEqual({ status: 0, stdout: 'cove.yaml\n', stderr: '' })
    expect(readFileSync(join(folder, 'cove.yaml'), 'utf8')).toContain('\nname: my-shop\n')
    expect(await at('init', '--yes')).toMatchObject({ status: 1, stderr: expect.stringContaining('--force') as string })
    const created = await at('create')
    expect(created.stderr).toBe(`using ${join(folder, 'cove.yaml')}\n`)
    expect(await at('get', '-q', 'my-shop')).toMatchObject({ stdout: 'running\n' })
  })

  it('is asked for at a terminal, with what was found as answers', async () => {
    writeFileSync(join(folder, 'requirements.txt'), 'flask==3\n')
    const command = `'${process.execPath}' --disable-warning=ExperimentalWarning '${MAIN}' init`
    await using terminal = new ShellTerminal(
      `${command}; exec sh -i`,
      { COVE_DATA_DIR: daemon.dataDir, PS1: '> ' },
      folder,
    )
    const answer = async (question: string, text: string) => {
      await terminal.sees(question)
      terminal.type(`${text}\r`)
    }
    await answer('Name [', 'Not A Name')
    await terminal.sees('A name is of')
    await answer('Name [', 'web')
    await answer('Template [host]', '')
    await answer('Network (none or internet) [internet]', 'none')
    await answer('Ports to bring to this machine [5000]', '5000, 8000')
    await answer('Files to copy in [requirements.txt]', '')
    await answer('Commands for setting up [python3', 'none')
    await answer('without activity [30m]', '1h')
    await terminal.sees('cove.yaml')
    const text = readFileSync(join(folder, 'cove.yaml'), 'utf8')
    for (const line of ['name: web', 'network: none', 'ports: [5000, 8000]', '  idle: 1h', '  - requirements.txt'])
      expect(text.split('\n')).toContain(line)
    expect(text).not.toMatch(/^setup:/m)
  })

  it('has its files, variables, limits and commands in every sandbox that is made in it', async () => {
    mkdirSync(join(folder, 'src/deep'), { recursive: true })
    writeFileSync(join(folder, 'src/deep/a'), 'A\n')
    write(`
name: box
env: {GREETING: hi, COUNT: 3}
labels: {team: a}
limits: {memory: 256MiB, processes: 64}
timeouts: {idle: 5m}
copy: [src]
setup:
  - cat src/deep/a > made
  - echo $GREETING $COUNT >> made
`)
    mkdirSync(join(folder, 'below'))
    const below = await runCove(['run', 'cat', 'made'], {
      env: { COVE_DATA_DIR: daemon.dataDir },
      cwd: join(folder, 'below'),
    })
    expect(below).toMatchObject({ status: 0, stdout: 'A\nhi 3\n' })
    expect(below.stderr).toContain('setup 2/2: echo $GREETING $COUNT >> made\n')
    await at('create', '-q', '--limit-memory', '128MiB', '--label', 'stage=x', '-e', 'COUNT=4')
    const info = JSON.parse((await at('get', 'box', '--json')).stdout) as Record<string, unknown>
    expect(info).toMatchObject({ labels: { team: 'a', stage: 'x' }, idleTimeout: 300_000 })
    expect(info['limits']).toContainEqual(expect.objectContaining({ name: 'memoryBytes', value: 128 * 1024 * 1024 }))
    expect(info['limits']).toContainEqual(expect.objectContaining({ name: 'processes', value: 64 }))
    expect((await at('exec', 'box', 'tail', '-n1', 'made')).stdout).toBe('hi 4\n')
    expect(await at('run', '--no-project-file', 'ls')).toMatchObject({ stdout: '', stderr: '' })
  })

  it('tells everything that is wrong with it, with its line and what was meant', async () => {
    write(
      'name: Box\nlimits:\n  memroy: 1\ntimeouts: {idle: soon}\nports: [0]\nnetwork: some\nallow: ["a b"]\nsetups: []\n',
    )
    const { status, stderr } = await at('create')
    expect(status).toBe(1)
    const file = join(folder, 'cove.yaml')
    const lines = [
      [1, 'name must be a to z'],
      [3, 'limits.memroy is no setting (did you mean memory?)'],
      [4, 'timeouts.idle must be a time'],
      [5, 'ports[0] must be a whole number from 1 to 65535'],
      [6, 'network must be one of none, internet'],
      [7, 'allow[0] '],
      [8, 'setups is no setting (did you mean setup?)'],
    ] as const
    for (const [line, text] of lines) expect(stderr).toContain(`${file}:${line}: ${text}`)
    expect(stderr).toMatch(/\nfix: Correct the file, or ignore it with --no-project-file\.\n$/)
    expect(await state()).toBe('')
  })

  it.each([
    ['a command of setup fails', 'setup: ["echo why; exit 3"]', 'exited with code 3\nwhy\n'],
    ['a file is not there', 'copy: [nothing]', 'names nothing that is there'],
    ['a path leads out of it', 'copy: [../..]', 'leads out of the directory'],
    ['a link leads out of it', 'copy: [link]', 'leads out of the directory'],
  ])('leaves nothing when %s', async (_what, text, message) => {
    symlinkSync('/etc/passwd', join(folder, 'link'))
    write(text)
    const { status, stderr } = await at('create')
    expect(status).toBe(1)
    expect(stderr).toContain(message)
    expect(await state()).toBe('')
  })

  it('leaves nothing when Ctrl-C ends its setting up', async () => {
    write('setup: [sleep 60]')
    using create = new CliProcess(['create'], { COVE_DATA_DIR: daemon.dataDir }, { cwd: folder })
    await create.complained('setup 1/1')
    create.kill('SIGINT')
    expect((await create.ended).status).toBe(130)
    expect(await state()).toBe('')
  })

  it.skipIf(process.getuid?.() !== 0)('is not taken from another user', async () => {
    write('setup: [touch stolen]')
    chownSync(join(folder, 'cove.yaml'), 12_345, 12_345)
    const ended = await at('run', 'ls')
    expect(ended).toMatchObject({ status: 0, stdout: '' })
    expect(ended.stderr).toContain('belongs to another user and is not used')
  })

  describe('cove forward', () => {
    const SERVER = ['sh', '-c', 'cd /tmp; echo served > index.html; exec python3 -m http.server 8123']

    it('brings the ports of the project here, until Ctrl-C', async () => {
      write('name: web\nports: [8123]')
      await at('create')
      await at('exec', '-d', 'web', ...SERVER)
      using running = forward()
      await running.saw('-> web:8123')
      expect(await get(addressIn(running.stdout))).toBe('served\n')
      running.kill('SIGINT')
      expect((await running.ended).status).toBe(0)
      await expect(fetch(addressIn(running.stdout))).rejects.toThrow('fetch failed')
    })

    it('takes a free port where its own is taken, and says so; but never in place of one that was asked for', async () => {
      await at('create', '--name', 'web')
      const taken = createServer().listen(0, '127.0.0.1')
      await new Promise((resolve) => taken.once('listening', resolve))
      const there = taken.address()
      const port = String(typeof there === 'object' ? there?.port : 0)
      try {
        using running = forward('web', port)
        await running.saw(`-> web:${port}`)
        expect(running.stdout).not.toContain(`:${port} ->`)
        await running.complained(`port ${port} cannot be used here`)
        const refused = await at('forward', 'web', `80:${port}`)
        expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('is in use') as string })
      } finally {
        taken.close()
      }
    })

    it('goes on after the daemon was restarted, and tells once that nothing listens', async () => {
      await at('create', '--name', 'web')
      using running = forward('web', '8123:0')
      await running.saw('-> web:8123')
      const url = addressIn(running.stdout)
      await expect(fetch(url)).rejects.toThrow('fetch failed')
      await expect(fetch(url)).rejects.toThrow('fetch failed')
      await running.complained('nothing listens on port 8123')
      await at('exec', '-d', 'web', ...SERVER)
      expect(await get(url)).toBe('served\n')
      const { port } = new URL(daemon.url)
      await daemon.end('SIGKILL')
      await daemon.start(['--listen', `127.0.0.1:${port}`])
      expect(await get(url)).toBe('served\n')
      running.kill('SIGTERM')
      const ended = await running.ended
      expect(ended.stderr.match(/nothing listens/g)).toHaveLength(1)
    })

    it.each([
      [['nowhere', '80'], 1, 'there is no sandbox "nowhere"'],
      [['web', '0'], 2, 'It must be <port>'],
      [['web', '80:x'], 2, 'It must be <port>'],
      [['web'], 2, 'which ports?'],
      [[], 2, 'which sandbox?'],
    ])('answers %j with the cause', async (args, status, message) => {
      expect(await at('forward', ...args)).toMatchObject({ status, stderr: expect.stringContaining(message) as string })
    })
  })

  it('lists what listens, and opens and shares it', async () => {
    await at('create', '--name', 'web')
    await at('exec', '-d', 'web', 'sh', '-c', 'echo hello > /tmp/index.html; exec python3 -m http.server -d /tmp 8124')
    await expect
      .poll(async () => JSON.parse((await at('ports', 'ls', 'web', '--json')).stdout) as unknown, { timeout: 20_000 })
      .toContainEqual(expect.objectContaining({ port: 8124, listening: true, public: false }))
    expect((await at('ports', 'ls', 'web', '-q')).stdout).toBe('8124\n')
    const url = (await at('ports', 'url', 'web', '8124')).stdout.trim()
    expect(url).toMatch(/^http:\/\/8124-[a-z2-7]{16}\.localhost:\d+\/\?token=/)
    const shared = await at('ports', 'share', 'web', '8124', '--public')
    expect(shared.stdout).toMatch(/^http:\/\/8124-[a-z2-7]{16}\.localhost:\d+\/\n$/)
    expect((await at('ports', 'ls', 'web')).stdout).toMatch(/8124 .*public/)
    expect(await at('ports', 'unshare', 'web', '8124')).toMatchObject({ status: 0, stdout: '8124\n' })
    expect((await at('ports', 'ls', 'web', '--no-headers')).stdout).toMatch(/8124 .*private/)
  })
})
