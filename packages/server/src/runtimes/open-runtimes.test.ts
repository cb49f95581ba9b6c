import { CoveError, type ProcessEvent, type Sandbox, type SandboxId, type StartProcess } from '@cove/domain'
import { ManualClock } from '@cove/domain/manual-clock'
import { systemRandom } from '@cove/domain/system'
import { expect, it } from 'vitest'
import { StubGuest } from '../../test/support/stub-guest.ts'
import type { RuntimeCommands } from './commands.ts'
import { openRuntimes } from './open-runtimes.ts'
import type { RunCode } from './runtimes.ts'

type Script = (argv: readonly string[]) => readonly ProcessEvent[]

const NO_SIGNAL = new AbortController().signal
const SCOPE = { project: 'default' }
const OK: ProcessEvent = { type: 'exit', exit: { kind: 'exited', code: 0 }, timedOut: false }
const PROBED = printed('/home/user/.cove\0/usr/bin\0/home/user\0')
const CODE: RunCode = { runtime: 'python', code: 'print(1)', timeoutMs: 1_000, maxOutputBytes: 100 }

/** A guest whose processes print what the test says, and which counts what is asked of it. */
class ScriptedGuest extends StubGuest {
  readonly calls: string[] = []
  readonly starts: StartProcess[] = []
  script: Script = ([program]) => (program === '/bin/sh' ? PROBED : [OK])

  override async start(request: StartProcess): ReturnType<StubGuest['start']> {
    this.calls.push(`start ${request.argv[0]}`)
    this.starts.push(request)
    const events = this.script(request.argv)
    const info = {
      id: request.id,
      pid: 2,
      argv: request.argv,
      cwd: '/home/user',
      user: 'user',
      terminal: false,
      startedAt: 0,
      outputFrom: 0,
      outputTo: 0,
      timedOut: false,
    }
    return { info, events: given(events) }
  }

  override async signal(id: StartProcess['id'], number: number): Promise<void> {
    this.calls.push(`signal ${number} to ${this.starts.at(-1)?.id === id ? 'the last' : 'another'}`)
  }

  override writeFile(...args: Parameters<StubGuest['writeFile']>): ReturnType<StubGuest['writeFile']> {
    this.calls.push('write')
    return super.writeFile(...args)
  }

  override remove(path: string): Promise<void> {
    this.calls.push('remove')
    return super.remove(path)
  }
}

async function* given(events: readonly ProcessEvent[]): AsyncGenerator<ProcessEvent> {
  yield* events
}

function printed(text: string): readonly ProcessEvent[] {
  return [{ type: 'output', stream: 'stdout', offset: 0, data: Buffer.from(text) }, OK]
}

function openHouse(commands: RuntimeCommands = {}) {
  const guest = new ScriptedGuest()
  const world = { incarnation: 1, released: 0 }
  const sandboxes = {
    async guest(_scope: unknown, ref: string) {
      const sandbox: Sandbox = {
        spec: {
          id: ref as SandboxId,
          project: 'default',
          template: 'host',
          from: { kind: 'host' },
          volumes: [],
          limits: {},
          network: { kind: 'none' },
          env: { PYTHONPATH: '/opt/mine' },
          labels: {},
          idleTimeout: 'never',
          lifetime: 'never',
          createdAt: 0,
        },
        status: { state: 'running', incarnation: world.incarnation, changedAt: 0, limits: [] },
      }
      return { guest, sandbox, [Symbol.dispose]: () => void world.released++ }
    },
  }
  return {
    guest,
    world,
    runtimes: openRuntimes({ sandboxes, random: systemRandom, clock: new ManualClock(), commands }),
  }
}

const notFound = (what: string): never => {
  throw new CoveError('command-not-found', `${what}: no such file`)
}

const fail = (): never => {
  throw new Error('the client is gone')
}

it('a run asks the sandbox three times, and once more for each incarnation', async () => {
  const { guest, world, runtimes } = openHouse()
  for (let n = 0; n < 3; n++) await runtimes.run(SCOPE, 'a', CODE, NO_SIGNAL)
  const run = ['write', 'start python3', 'remove']
  expect(guest.calls).toEqual(['start /bin/sh', ...run, ...run, ...run])
  world.incarnation = 2
  await runtimes.run(SCOPE, 'a', CODE, NO_SIGNAL)
  expect(guest.calls.slice(10)).toEqual(['start /bin/sh', ...run])
  expect([guest.files.size, world.released]).toEqual([0, 4])
})

it('what it knows of sandboxes is bounded', async () => {
  const { guest, runtimes } = openHouse()
  for (let n = 0; n < 1_100; n++) await runtimes.run(SCOPE, `s${n}`, CODE, NO_SIGNAL)
  guest.calls.length = 0
  await runtimes.run(SCOPE, 's1099', CODE, NO_SIGNAL)
  expect(guest.calls).not.toContain('start /bin/sh')
  await runtimes.run(SCOPE, 's0', CODE, NO_SIGNAL)
  expect(guest.calls).toContain('start /bin/sh')
})

it('code starts with what has been installed in its path, and the modules of its folder', async () => {
  const { guest, runtimes } = openHouse()
  await runtimes.run(SCOPE, 'a', { ...CODE, env: { PATH: '/mine', PYTHONUNBUFFERED: '' }, cwd: '/work' }, NO_SIGNAL)
  const { argv, env, cwd, timeoutMs, stdin } = guest.starts.at(-1) ?? {}
  expect(argv?.[1]).toMatch(/^\/home\/user\/\.cove\/run\/[a-z2-7]{16}\.py$/)
  expect(env).toEqual({
    PATH: '/home/user/.cove/python/bin:/home/user/.cove/node/node_modules/.bin:/mine',
    PYTHONUNBUFFERED: '',
    PYTHONPATH: '/work:/opt/mine',
  })
  expect({ cwd, timeoutMs, stdin }).toEqual({ cwd: '/work', timeoutMs: 1_000, stdin: undefined })
})

it('an image without a shell runs code too', async () => {
  const { guest, runtimes } = openHouse()
  guest.script = ([program = '']) => (program === 'python' ? printed('1\n') : notFound(program))
  const { stdout } = await runtimes.run(SCOPE, 'a', CODE, NO_SIGNAL)
  expect(Buffer.from(stdout.bytes).toString()).toBe('1\n')
  expect(guest.starts.at(-1)?.argv[1]).toMatch(/^\/tmp\/\.cove\/run\/\w+\.py$/)
})

it('a sandbox in which nothing could be found out is asked again', async () => {
  const { guest, runtimes } = openHouse()
  const end = { type: 'exit', exit: { kind: 'exited', code: 1 } } as const
  const complaint = Buffer.from('what\nmkdir: no space left\n')
  guest.script = () => [
    { type: 'output', stream: 'stderr', offset: 0, data: complaint },
    { ...end, timedOut: false },
  ]
  await expect(runtimes.run(SCOPE, 'a', CODE, NO_SIGNAL)).rejects.toMatchObject({
    code: 'io-error',
    message: expect.stringContaining(': mkdir: no space left'),
  })
  guest.script = () => [{ ...end, timedOut: true }]
  await expect(runtimes.run(SCOPE, 'a', CODE, NO_SIGNAL)).rejects.toMatchObject({ code: 'deadline-exceeded' })
  guest.script = ([program]) => (program === '/bin/sh' ? PROBED : [OK])
  await runtimes.run(SCOPE, 'a', CODE, NO_SIGNAL)
  expect(guest.calls.filter((call) => call === 'start /bin/sh')).toHaveLength(3)
})

it('the configured interpreter gives way to a virtual environment only', async () => {
  const { guest, runtimes } = openHouse({ python: { run: '/opt/python' }, shell: { run: '/opt/sh' } })
  guest.script = ([program = '']) => (program === '/bin/sh' ? PROBED : notFound(program))
  for (const runtime of ['python', 'shell'] as const) {
    const run = runtimes.run(SCOPE, 'a', { ...CODE, runtime }, NO_SIGNAL)
    await expect(run).rejects.toMatchObject({ code: 'command-not-found' })
  }
  const tried = guest.calls.filter((call) => call.startsWith('start') && call !== 'start /bin/sh')
  expect(tried).toEqual(['start /home/user/.cove/python/bin/python', 'start /opt/python', 'start /opt/sh'])
  expect(guest.files.size).toBe(0)
})

it('a process whose output breaks off is ended', async () => {
  const { guest, runtimes } = openHouse()
  guest.script = ([program]) => (program === '/bin/sh' ? PROBED : [])
  await expect(runtimes.run(SCOPE, 'a', CODE, NO_SIGNAL)).rejects.toMatchObject({ code: 'guest-unreachable' })
  expect(guest.calls.slice(-2)).toEqual(['signal 9 to the last', 'remove'])
})

it('a listener that fails ends the process', async () => {
  const { guest, world, runtimes } = openHouse()
  guest.script = ([program]) => (program === '/bin/sh' ? PROBED : printed('x'))
  await expect(runtimes.run(SCOPE, 'a', { ...CODE, onOutput: fail }, NO_SIGNAL)).rejects.toThrow('the client is gone')
  expect(guest.calls).toContain('signal 9 to the last')
  expect([guest.files.size, world.released]).toEqual([0, 1])
})

it('nothing is asked of a sandbox for what is refused anyway', async () => {
  const { guest, world, runtimes } = openHouse()
  const big = { ...CODE, code: 'x'.repeat(512_001) }
  await expect(runtimes.run(SCOPE, 'a', big, NO_SIGNAL)).rejects.toMatchObject({ code: 'payload-too-large' })
  const install = { runtime: 'python', packages: ['a;b'], timeoutMs: 1, maxOutputBytes: 1 } as const
  await expect(runtimes.install(SCOPE, 'a', install, NO_SIGNAL)).rejects.toMatchObject({ code: 'invalid-argument' })
  expect([guest.calls, world.released]).toEqual([[], 0])
})

it.each([
  ['no-python', 'has no Python'],
  ['no-venv', 'cannot make virtual environments'],
  ['no-pip', 'has no pip'],
])('what is missing for packages of Python is told: %s', async (said, reason) => {
  const { guest, runtimes } = openHouse()
  guest.script = (argv) => (argv[3] === 'cove' ? printed(`${said}\n`) : PROBED)
  const install = { runtime: 'python', packages: ['a'], timeoutMs: 1_000, maxOutputBytes: 1 } as const
  await expect(runtimes.install(SCOPE, 'a', install, NO_SIGNAL)).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringContaining(reason),
  })
})

it('a pip that belongs to another Python is told where to install', async () => {
  const { guest, runtimes } = openHouse()
  guest.script = (argv) => (argv[3] === 'cove' ? printed('other /opt/my pip\n') : argv[0] === '/bin/sh' ? PROBED : [OK])
  const install = { runtime: 'python', packages: ['a'], timeoutMs: 1_000, maxOutputBytes: 1 } as const
  await runtimes.install(SCOPE, 'a', install, NO_SIGNAL)
  const argv = guest.starts.at(-1)?.argv ?? []
  expect(argv.slice(0, 4)).toEqual(['/opt/my pip', '--python', '/home/user/.cove/python/bin/python', 'install'])
  expect(argv.slice(-2)).toEqual(['--', 'a'])
})
