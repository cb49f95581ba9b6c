import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cove, Template, type BuildEvent } from '@cove/sdk'
import { CliProcess } from './support/cli-process.ts'
import { runCove, TestDaemon } from './support/daemon.ts'

const BUSYBOX = '/bin/busybox'
const TOOLS = ['sh', 'cat', 'echo', 'id', 'ls', 'mkdir', 'nc', 'pwd', 'sleep', 'true']
const skipped = process.getuid?.() !== 0 || !existsSync(BUSYBOX)
if (skipped) console.log('templates on the command line are skipped: they need root and busybox-static')

describe.skipIf(skipped)('templates', () => {
  let daemon: TestDaemon
  let folder: string
  const at = (...args: readonly string[]) => runCove(args, { env: { COVE_DATA_DIR: daemon.dataDir }, cwd: folder })
  const define = (text: string, name = 'cove.template.yaml') => writeFileSync(join(folder, name), text)

  beforeAll(async () => {
    daemon = await TestDaemon.start()
    folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    for (const name of ['root/bin', 'root/etc', 'root/home/user', 'src'])
      mkdirSync(join(folder, name), { recursive: true })
    cpSync(BUSYBOX, join(folder, 'root/bin/busybox'))
    for (const name of TOOLS) symlinkSync('busybox', join(folder, 'root/bin', name))
    writeFileSync(join(folder, 'root/etc/passwd'), 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n')
    writeFileSync(join(folder, 'root/etc/group'), 'root:x:0:\nuser:x:1000:\n')
    writeFileSync(join(folder, 'src/main.sh'), 'echo "hello from $PLACE"\n')
    writeFileSync(join(folder, 'src/secret'), 'left out\n')
    writeFileSync(join(folder, '.coveignore'), 'secret\n')
  }, 120_000)
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  const DEFINITION = `
name: box
description: busybox and a script
source: directory:./root
steps:
  - env: { PLACE: home }
  - workdir: /app
  - copy: src:.
  - run: sh main.sh > said; cat said
  - user: user
`

  it('are built, listed, shown, used and removed', async () => {
    define(DEFINITION)
    const first = await at('template', 'build')
    expect(first).toMatchObject({ status: 0, stdout: 'box:latest\n' })
    expect(first.stderr).toContain('[4/5] run sh main.sh > said; cat said\nhello from home\n[5/5] user user\n')
    const again = await at('template', 'build', '--json')
    expect(again.stderr).toContain('[4/5] run sh main.sh > said; cat said cached\n')
    expect(JSON.parse(again.stdout)).toMatchObject({ name: 'box', tag: 'latest', workdir: '/app', user: 'user' })
    expect((await at('template', 'build', '-t', 'box:two', '--no-cache', '-q')).stdout).toBe('box:two\n')

    expect((await at('template', 'ls', '-q')).stdout).toBe('host\nbox:latest\nbox:two\n')
    expect((await at('template', 'ls')).stdout).toMatch(/box +latest +directory:.* busybox and a script/)
    expect((await at('template', 'get', 'box')).stdout).toMatch(/step 3: +copy to \.\n(?:.*\n)*env: +PLACE=home\n/)
    expect((await at('template', 'logs', 'box:two')).stdout).toContain('hello from home\n')
    expect(await at('run', '--template', 'box', '--', 'sh', '-c', 'id -u; pwd; ls; cat said')).toMatchObject({
      status: 0,
      stdout: '1000\n/app\nmain.sh\nsaid\nhello from home\n',
    })
    expect((await at('__complete', 'fish', 'create', '--template', 'bo')).stdout).toContain('box')
    expect(await at('template', 'rm', 'box:two', 'nothing')).toMatchObject({
      status: 1,
      stdout: 'box:two\n',
      stderr: expect.stringContaining('there is no template "nothing"') as string,
    })
    expect((await at('template', 'ls', '-q')).stdout).toBe('host\nbox:latest\n')
  }, 120_000)

  it('that cannot be built say which step, and what it has said', async () => {
    define('name: bad\nsource: directory:./root\nsteps: [{ run: echo nearly; exit 4 }]', 'bad.yaml')
    const bad = await at('template', 'build', '-f', 'bad.yaml')
    expect(bad).toMatchObject({ status: 1, stdout: '' })
    expect(bad.stderr).toContain('[1/1] run echo nearly; exit 4\nnearly\n')
    expect(bad.stderr).toContain('error: the command exited with code 4\nfix: ')
    expect((await at('template', 'ls', '-q')).stdout).not.toContain('bad')
    define('name: bad\nsource: directory:/root', 'bad.yaml')
    expect((await at('template', 'build', '-f', 'bad.yaml')).stderr).toContain('--source directory:/root')
    define('source: host\nsteps: [{ copy: "../:/" }]', 'bad.yaml')
    expect((await at('template', 'build', '-f', 'bad.yaml')).stderr).toContain('--tag')
    expect((await at('template', 'build', '-f', 'bad.yaml', '-t', 'x')).stderr).toContain('leads out of')
  }, 60_000)

  it('are cancelled with Ctrl-C, and left alone with --detach', async () => {
    define('name: slow\nsource: directory:./root\nsteps: [{ run: echo begun; sleep 600 }]', 'slow.yaml')
    const env = { COVE_DATA_DIR: daemon.dataDir }
    using build = new CliProcess(['template', 'build', '-f', 'slow.yaml'], env, { cwd: folder })
    await build.complained('begun')
    build.kill('SIGINT')
    expect(await build.ended).toMatchObject({ status: 130 })
    const detached = await at('template', 'build', '-f', 'slow.yaml', '--detach')
    expect(detached).toMatchObject({ status: 0, stdout: expect.stringMatching(/^[a-z2-7]{16}\n$/) as string })
    const cove = new Cove({ env })
    const { id } = cove.templates.buildOf(detached.stdout.trim())
    await cove.templates.buildOf(id).cancel()
    const logs = await at('template', 'logs', id)
    expect(logs.status).toBe(1)
    expect(logs.stderr).toContain('error: the build was cancelled')
  }, 60_000)

  it('are built by programs, with files from memory and a start command', async () => {
    const cove = new Cove({ env: { COVE_DATA_DIR: daemon.dataDir } })
    const template = new Template(`directory:${folder}/root`)
      .copy({ 'serve.sh': 'while true; do echo hi | nc -l -p 8000; done\n' }, '/srv')
      .start(['/bin/sh', '/srv/serve.sh'], { port: 8000, timeoutMs: 20_000 })
      .limits({ processes: 50 })
      .describe('made in memory')
    const build = await cove.templates.build(template, { name: 'served' })
    const events: BuildEvent[] = []
    for await (const event of build) events.push(event)
    expect(events.map(({ type }) => type)).toContain('step')
    expect(await build.result()).toMatchObject({
      name: 'served',
      description: 'made in memory',
      start: { argv: ['/bin/sh', '/srv/serve.sh'], ready: { port: 8000, timeoutMs: 20_000 } },
      limits: { processes: 50 },
    })
    await using sandbox = await cove.sandboxes.create({ template: 'served' })
    expect((await sandbox.processes.list()).map(({ id }) => id)).toEqual(['start'])
    await cove.templates.remove('served')
    await cove.templates.remove('served')
    await expect(cove.templates.get('served')).rejects.toMatchObject({ code: 'template-not-found' })
    await expect(cove.sandboxes.create({ template: 'served' })).rejects.toMatchObject({ code: 'template-not-found' })
    // What was made of it goes on, also over a stop.
    await sandbox.stop()
    await cove.sandboxes.start(sandbox.id)
    expect((await sandbox.run(['cat', '/srv/serve.sh'])).stdout).toContain('nc -l')
  }, 120_000)

  it.skipIf(!existsSync('/usr/bin/mmdebstrap'))(
    'are ready made in this repository',
    async () => {
      const definition = fileURLToPath(new URL('../templates/shell', import.meta.url))
      expect(await at('template', 'build', definition)).toMatchObject({ status: 0, stdout: 'shell:latest\n' })
      expect(
        await at('run', '--template', 'shell', '--', 'bash', '-c', 'id -un; pwd; busybox true && echo "$LANG"'),
      ).toMatchObject({
        status: 0,
        stdout: 'user\n/home/user\nC.UTF-8\n',
      })
    },
    900_000,
  )
})
