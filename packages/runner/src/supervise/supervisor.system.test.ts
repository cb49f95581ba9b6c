import { getEventListeners } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '@cove/domain/system'
import { GUEST_PROGRAM } from '../../test/support/bench.ts'
import { findFreePort } from '../host/ports.ts'
import { openRunner, type Runner } from '../native/open-runner.ts'
import type { SupervisedStatus } from './supervised-status.ts'
import { Supervisor, type SupervisorOptions } from './supervisor.ts'

describe('a supervised process', () => {
  let folder: string
  let runner: Runner
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    runner = await openRunner({ stateFolder: join(folder, 's'), guestProgram: GUEST_PROGRAM })
  })
  afterAll(async () => {
    const left = await runner.launcher.list()
    for (const { id } of left) await runner.launcher.destroy(id)
    await runner.launcher.stopLauncher()
    await runner.close()
    rmSync(folder, { recursive: true, force: true })
    if (left.length > 0) throw new Error(`${left.length} processes were left`)
  })

  let seen: SupervisedStatus[]
  let lines: string[]
  let notes: string[]
  let changed = Promise.withResolvers<void>()
  let opened: Supervisor[]
  beforeEach(() => {
    seen = []
    lines = []
    notes = []
    opened = []
  })
  afterEach(async () => {
    for (const supervisor of opened) {
      supervisor.stop(0)
      await supervisor.run()
    }
  })

  const tell = (): void => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  const supervise = (script: string, more: Partial<SupervisorOptions> = {}): Supervisor => {
    const supervisor = new Supervisor({
      environment: runner.native({ directory: folder }),
      program: 'sh',
      args: ['-c', script],
      restart: { kind: 'no' },
      backoff: { firstMs: 10, longestMs: 40 },
      clock: systemClock,
      onStatus: (status) => {
        seen.push(status)
        tell()
      },
      onLine: (line) => {
        lines.push(`${line.stream} ${line.text}`)
        tell()
      },
      onNote: (text) => {
        notes.push(text)
      },
      ...more,
    })
    opened.push(supervisor)
    return supervisor
  }
  const until = async (supervisor: Supervisor, wanted: (status: SupervisedStatus) => boolean): Promise<void> => {
    while (!wanted(supervisor.status)) await changed.promise
  }
  const phases = (): string[] => seen.map(({ phase }) => phase).filter((phase, at, all) => phase !== all[at - 1])

  it('that ends by itself is over, with its exit and all of its output', async () => {
    const status = await supervise('echo one; echo two >&2; exit 3').run()
    expect(status).toMatchObject({ phase: 'exited', exit: { kind: 'exited', code: 3 }, pid: undefined, restarts: 0 })
    expect(lines.toSorted()).toEqual(['stderr two', 'stdout one'])
    expect(phases()).toEqual(['starting', 'running', 'exited'])
  })

  it('that fails is started again, later each time, until that was often enough', async () => {
    const status = await supervise('echo run; exit 1', { restart: { kind: 'on-failure', most: 3 } }).run()
    expect(status).toMatchObject({ phase: 'failed', restarts: 3, exit: { kind: 'exited', code: 1 } })
    expect(status.reason).toBe('exited with code 1; given up after 3 restarts in a row')
    expect(lines).toHaveLength(4)
    expect(notes.filter((note) => note.includes('starting again'))).toEqual([
      'exited with code 1; starting again in 10 ms',
      'exited with code 1; starting again in 20 ms',
      'exited with code 1; starting again in 40 ms',
    ])
  })

  it('that succeeds is started again only where always was asked', async () => {
    expect(await supervise('exit 0', { restart: { kind: 'on-failure' } }).run()).toMatchObject({ phase: 'exited' })
    const always = supervise('exit 0', { restart: { kind: 'always' } })
    const over = always.run()
    await until(always, ({ restarts }) => restarts >= 3)
    always.stop()
    expect(await over).toMatchObject({ phase: 'stopped', exit: { kind: 'exited', code: 0 } })
  })

  it('leaves nothing of its earlier runs, however many there were', async () => {
    const environment = runner.native({ directory: folder })
    const listening: number[] = []
    const init = environment.init.bind(environment)
    environment.init = (options) => {
      if (options?.signal !== undefined) listening.push(getEventListeners(options.signal, 'abort').length)
      return init(options)
    }
    const supervisor = supervise(':', {
      environment,
      restart: { kind: 'always' },
      backoff: { firstMs: 1, longestMs: 1 },
    })
    const over = supervisor.run()
    await until(supervisor, ({ runs }) => runs >= 20)
    supervisor.stop()
    await over
    expect(new Set(listening)).toEqual(new Set([0]))
  })

  it('that cannot be started at first has failed, whatever its policy', async () => {
    const status = await supervise('', { program: 'no-such-program', restart: { kind: 'always' } }).run()
    expect(status).toMatchObject({ phase: 'failed', restarts: 0, exit: undefined })
    expect(status.reason).toContain('there is no program no-such-program')
    const nowhere = await supervise('', { directory: '/no/such' }).run()
    expect(nowhere.reason).toContain('there is no directory /no/such')
  })

  it.each([
    ['a port', (port: number) => ({ kind: 'port', port }) as const],
    ['an address', (port: number) => ({ kind: 'url', url: `http://127.0.0.1:${port}/` }) as const],
    ['a line', () => ({ kind: 'log', pattern: 'listens' }) as const],
    ['a command', () => ({ kind: 'command', command: `test -e listening` }) as const],
  ])('is ready when %s says so', async (_what, check) => {
    const port = await findFreePort()
    const serve = `const s = require('http').createServer((q, a) => a.end('x'))
      s.listen(${port}, '127.0.0.1', () => { require('fs').writeFileSync('listening', ''); console.log('listens') })`
    const supervisor = supervise('', { program: process.execPath, args: ['-e', serve], ready: check(port) })
    const over = supervisor.run()
    expect(supervisor.status.ready).toBe(false)
    await until(supervisor, ({ ready }) => ready === true)
    expect(supervisor.status.phase).toBe('running')
    supervisor.stop()
    expect(await over).toMatchObject({ phase: 'stopped', ready: false, exit: { kind: 'signaled', signal: 15 } })
    rmSync(join(folder, 'listening'))
  })

  it('that does not become ready in time has failed and is ended', async () => {
    const supervisor = supervise('echo $$; sleep 100 & wait', {
      ready: { kind: 'log', pattern: 'never' },
      readyTimeoutMs: 100,
      restart: { kind: 'on-failure', most: 1 },
    })
    const status = await supervisor.run()
    expect(status.phase).toBe('failed')
    expect(status.reason).toMatch(
      /^was not ready within 0.1 s: waited for a line with \/never\/; given up after 1 restart/,
    )
    expect(lines).toHaveLength(2)
    for (const line of lines) expect(existsSync(`/proc/${line.split(' ')[1] ?? ''}`)).toBe(false)
  })

  it('whose port somebody else has is not started', async () => {
    const port = await findFreePort()
    const { createServer } = await import('node:net')
    const server = createServer().listen(port, '127.0.0.1')
    const status = await supervise('sleep 100', { ready: { kind: 'port', port } }).run()
    server.close()
    expect(status.phase).toBe('failed')
    expect(status.reason).toContain(`something else answers on port ${port} already`)
  })

  it('that ends before it is ready has ended, not timed out', async () => {
    const status = await supervise('exit 4', { ready: { kind: 'port', port: await findFreePort() } }).run()
    expect(status).toMatchObject({ phase: 'exited', exit: { kind: 'exited', code: 4 }, ready: false })
  })

  it('is stopped also while it waits to be started again', async () => {
    const supervisor = supervise('exit 1', { restart: { kind: 'always' }, backoff: { firstMs: 60_000 } })
    const over = supervisor.run()
    await until(supervisor, ({ phase }) => phase === 'waiting')
    supervisor.stop()
    expect(await over).toMatchObject({ phase: 'stopped', exit: { kind: 'exited', code: 1 }, restarts: 0 })
  })

  it('is started anew when somebody asks, also while it waits', async () => {
    const supervisor = supervise('exec sleep 100')
    const over = supervisor.run()
    await until(supervisor, ({ phase }) => phase === 'running')
    const first = supervisor.status.pid
    supervisor.restart()
    await until(supervisor, ({ phase, pid }) => phase === 'running' && pid !== first)
    expect(supervisor.status).toMatchObject({ phase: 'running', restarts: 0 })
    supervisor.stop()
    await over

    const waiting = supervise('echo w; test -e go && sleep 100; exit 1', {
      restart: { kind: 'always' },
      backoff: { firstMs: 60_000 },
    })
    const end = waiting.run()
    await until(waiting, ({ phase }) => phase === 'waiting')
    waiting.restart()
    await until(waiting, () => lines.filter((line) => line === 'stdout w').length === 2)
    waiting.stop()
    await end
  })

  it('that minds no TERM is killed after the grace, or sooner when somebody is less patient', async () => {
    const supervisor = supervise('trap "" TERM; echo up; while :; do sleep 0.05; done')
    const over = supervisor.run()
    await until(supervisor, () => lines.length === 1)
    supervisor.stop(60_000)
    await until(supervisor, ({ phase }) => phase === 'stopping')
    supervisor.stop(10)
    expect(await over).toMatchObject({ phase: 'stopped', exit: { kind: 'signaled', signal: 9 } })
  })

  it('takes along what it has left running', async () => {
    const status = await supervise('sleep 1000 > /dev/null 2>&1 & echo $! > left; exit 0').run()
    expect(status.phase).toBe('exited')
    expect(existsSync(`/proc/${readFileSync(join(folder, 'left'), 'utf8').trim()}`)).toBe(false)
  })
})
