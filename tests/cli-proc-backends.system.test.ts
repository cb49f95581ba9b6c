import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { missingForDockerd, TestDockerd } from '@cove/docker-engine/testing'
import { missingForNix, TestNix } from '../packages/runner/test/support/nix.ts'
import { TestProcs } from './support/procs.ts'

const noDocker = missingForDockerd()
if (noDocker !== undefined) process.stderr.write(`skipped: ${noDocker}\n`)
const noNix = missingForNix()
if (noNix !== undefined) process.stderr.write(`skipped: ${noNix}\n`)

describe.skipIf(noDocker !== undefined)('supervised processes in containers', () => {
  let docker: TestDockerd
  let procs: TestProcs
  beforeAll(async () => {
    docker = await TestDockerd.start()
    procs = new TestProcs({ DOCKER_HOST: `unix://${docker.socket}` })
  })
  afterAll(async () => {
    await procs[Symbol.asyncDispose]()
    await docker[Symbol.asyncDispose]()
  })
  const containers = async (): Promise<number> => {
    using engine = await docker.open()
    return (await engine.listContainers({})).length
  }

  it('run where an image is given and an engine answers, and leave no container', async () => {
    mkdirSync(join(procs.folder, 'code'))
    const script = 'echo "$WHO in $PWD on $(cat /proc/1/comm)"; echo there > made; echo set; exec sleep 1000'
    const args = ['--image', TestDockerd.image, '-v', 'code:/code', '-w', '/code', '-e', 'WHO=me']
    const begun = await procs.proc(
      'run',
      '--name',
      'box',
      ...args,
      '--ready',
      'command:test -s made',
      '--',
      'sh',
      '-c',
      script,
    )
    expect(begun).toMatchObject({ status: 0, stdout: 'box\n' })
    expect(begun.stderr).toContain('an image is given, and Docker')
    expect(readFileSync(join(procs.folder, 'code/made'), 'utf8')).toBe('there\n')
    expect(await procs.get('box')).toMatchObject({ backend: 'docker', state: 'running', ready: true })
    expect(await procs.ok('logs', 'box')).toMatch(/^me in \/code on \S+\nset\n$/)
    expect(await containers()).toBe(1)
    await procs.ok('restart', 'box')
    expect(await procs.get('box')).toMatchObject({ state: 'running', restarts: 0 })
    await procs.ok('stop', 'box')
    expect(await procs.get('box')).toMatchObject({ state: 'stopped', exit: { kind: 'signaled', signal: 15 } })
    expect(await containers()).toBe(0)
  })

  it('end with their supervisor when that is killed', async () => {
    await procs.ok('run', '-q', '--name', 'box', '--image', TestDockerd.image, '--', 'sleep', '1000')
    for (const pid of procs.supervisors()) process.kill(pid, 'SIGKILL')
    expect(await procs.until('box', ({ state }) => state === 'lost')).toMatchObject({ exit: { kind: 'lost' } })
    await procs.ok('restart', 'box')
    expect(await procs.get('box')).toMatchObject({ state: 'running' })
    await procs.ok('rm', '-f', 'box')
    const deadline = performance.now() + 10_000
    while ((await containers()) > 0 && performance.now() < deadline);
    expect(await containers()).toBe(0)
  })

  it('leave no container when their supervisor was killed and they are removed', async () => {
    await procs.ok('run', '--name', 'gone', '--image', TestDockerd.image, '--', 'sleep', '1000')
    for (const pid of procs.supervisors()) process.kill(pid, 'SIGKILL')
    await procs.until('gone', ({ state }) => state === 'lost')
    expect(await containers()).toBe(1)
    await procs.ok('rm', 'gone')
    expect(await containers()).toBe(0)
  })

  it('fail with the reason when the image is not there', async () => {
    const { status, stderr } = await procs.proc('run', '--image', '127.0.0.1:9/no-such/image:0', '--', 'sleep', '1')
    expect(status).toBe(1)
    expect(stderr).toMatch(/error: sleep: could not be started: .*127\.0\.0\.1:9/)
  })
})

describe('supervised processes where no engine answers', () => {
  it('run on this machine unless a container was insisted on, and say why', async () => {
    await using procs = new TestProcs({ DOCKER_HOST: 'unix:///nonexistent/docker.sock' })
    const begun = await procs.proc('run', '--name', 'a', '--image', 'x', '--', 'sleep', '1000')
    expect(begun.status).toBe(0)
    expect(begun.stderr).toMatch(/a: native: .*not docker: .*does not answer/)
    const refused = await procs.proc('run', '--name', 'b', '--backend', 'docker', '--image', 'x', '--', 'sleep', '1')
    expect(refused.status).toBe(1)
    expect(refused.stderr).toContain('error: b: docker cannot be used')
  })
})

describe.skipIf(noNix !== undefined)('supervised processes in the shell of a flake', () => {
  it('run with its variables', async () => {
    using nix = new TestNix()
    await using procs = new TestProcs(nix.env)
    nix.writeFlake({ FOO: 'from the flake', PATH: '/usr/bin:/bin' })
    const begun = await procs.proc(
      'run',
      '--name',
      'shell',
      '-w',
      nix.flake,
      '--ready',
      'log:flake',
      '--',
      'sh',
      '-c',
      'echo "$FOO $MINE"; exec sleep 1000',
    )
    expect(begun.stderr).toContain('has a flake, and nix')
    expect(begun).toMatchObject({ status: 0, stdout: 'shell\n' })
    expect(await procs.get('shell')).toMatchObject({ backend: 'nix', state: 'running', ready: true })
    expect(await procs.ok('logs', 'shell')).toBe('from the flake \n')
  })
})
