import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { openRunner, type Runner } from '../src/index.ts'
import { eventually, GUEST_PROGRAM, isAlive, isRoot } from './support/bench.ts'
import { type Point, POINTS, TREE } from './support/doomed-program.ts'
import { marked, TEST_MARK } from './support/marked.ts'

const PROGRAM = fileURLToPath(new URL('support/doomed-program.ts', import.meta.url))
/** A failure can be repeated with the seed that it prints. */
const SEED = Number(process.env['COVE_TEST_SEED'] ?? Date.now() % 1_000_000)
const ROUNDS = Number(process.env['COVE_TEST_ROUNDS'] ?? 10)

/** A state folder, and a mark on everything that is started in the test. */
class Ground implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  readonly state: string
  readonly mark: string

  constructor(state?: string) {
    this.state = state ?? join(this.folder, 's')
    this.mark = this.folder
  }

  open(guestProgram = GUEST_PROGRAM): Promise<Runner> {
    return openRunner({ stateFolder: this.state, guestProgram, idleMs: 2000 })
  }

  /** Resolves when it has begun, or ended. */
  async doomed(point: Point | 'none'): Promise<ChildProcess> {
    const env = { ...process.env, [TEST_MARK]: this.mark }
    const child = spawn(process.execPath, [PROGRAM, this.state, GUEST_PROGRAM, point], {
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    await Promise.race([once(child.stdout ?? child, 'data'), once(child, 'exit')])
    return child
  }

  /** A process of a program that is gone, by another way than the library's: everything in it can be forged. */
  async forge(runner: Runner, id: string, change: (record: string) => string, script = 'sleep 1000'): Promise<void> {
    await runner.launcher.start({
      id: `${id}-made`,
      owner: { pid: process.pid, startTime: startTimeOf(process.pid) },
      argv: ['/bin/sh', '-c', script],
      env: { [TEST_MARK]: this.mark, PATH: '/usr/bin:/bin' },
    })
    const record = readFileSync(this.record(`${id}-made`), 'utf8')
    await killLauncher(runner, this)
    rmSync(this.record(`${id}-made`))
    writeFileSync(this.record(id), change(record.replace(/^id .*$/m, `id ${id}`)), { mode: 0o600 })
  }

  record(id: string): string {
    return join(this.state, 'records', `${id}.record`)
  }

  /** What is in the folder of records, but for what a dead launcher was just writing. */
  records(): string[] {
    return readdirSync(join(this.state, 'records')).filter((name) => !name.startsWith('.'))
  }

  alive(): number[] {
    return marked(this.mark)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const runner = await this.open()
    for (const entry of await runner.launcher.list()) await runner.launcher.destroy(entry.id)
    await runner.launcher.stopLauncher()
    await runner.close()
    for (const pid of this.alive()) process.kill(pid, 'SIGKILL')
    rmSync(this.folder, { recursive: true })
  }
}

function startTimeOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
}

async function launcherPid(runner: Runner, ground: Ground): Promise<number> {
  const id = `probe-${process.pid}`
  await runner.launcher.start({ id, owner: 'durable', argv: ['/bin/true'], env: {} })
  const text = readFileSync(ground.record(id), 'utf8')
  await runner.launcher.destroy(id)
  return Number(/^launcher (\d+) /m.exec(text)?.[1])
}

/** And lets go of it, so that nothing starts another one. */
async function killLauncher(runner: Runner, ground: Ground): Promise<void> {
  const pid = await launcherPid(runner, ground)
  await runner.launcher.close()
  process.kill(pid, 'SIGKILL')
  await eventually(() => !isAlive(pid) || undefined)
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

describe('a program that is killed', () => {
  test.each(POINTS)('at the point "%s" leaves nothing, by the launcher alone', async (point) => {
    await using ground = new Ground()
    const child = await ground.doomed(point)
    if (child.signalCode === null) await once(child, 'exit')
    expect(child.signalCode).toBe('SIGKILL')
    await eventually(() => ground.alive().length === 0 || undefined)
    await eventually(() => ground.records().length === 0 || undefined)
  })

  test.each(POINTS)('at the point "%s" with its launcher leaves nothing after the next sweep', async (point) => {
    await using ground = new Ground()
    const watcher = await ground.open()
    const pid = await launcherPid(watcher, ground)
    await watcher.launcher.close()
    const child = await ground.doomed(point)
    if (child.signalCode === null) await once(child, 'exit')
    process.kill(pid, 'SIGKILL')
    await using next = await ground.open()
    expect(next.swept).toBeGreaterThanOrEqual(0)
    expect(ground.records()).toEqual([])
    expect(ground.alive()).toEqual([])
  })

  test(`at any time, with its launcher or without, leaves nothing (seed ${SEED}, ${ROUNDS} rounds)`, async () => {
    let state = SEED
    const random = (): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return state / 0x1_0000_0000
    }
    await using ground = new Ground()
    for (let round = 0; round < ROUNDS; round += 1) {
      const child = await ground.doomed('none')
      const watcher = await ground.open()
      const pid = await launcherPid(watcher, ground)
      await watcher.launcher.close()
      await delay(random() * 120)
      // Killed before the program it cannot end it, killed after it may be in the middle of that.
      const both = [() => process.kill(pid, 'SIGKILL'), () => child.kill('SIGKILL')]
      const order = random()
      if (order < 0.3) both.shift()
      if (order > 0.65) both.reverse()
      for (const kill of both) {
        kill()
        await delay(random() * 6)
      }
      await end(child)
      const next = await ground.open()
      // Also what the launcher has begun to end before anybody asked.
      await eventually(() => ground.records().length === 0 || undefined)
      expect(ground.alive(), `round ${round} of seed ${SEED}`).toEqual([])
      await next.close()
    }
  })
})

describe('the sweep', () => {
  test('of two at the same time, and of two versions, ends all of it once', async () => {
    await using ground = new Ground()
    const other = join(ground.folder, 'other')
    writeFileSync(other, Buffer.concat([readFileSync(GUEST_PROGRAM), Buffer.from('other')]), { mode: 0o755 })
    for (const guests of [
      [GUEST_PROGRAM, GUEST_PROGRAM],
      [GUEST_PROGRAM, other],
    ]) {
      const child = await ground.doomed('none')
      const first = await ground.open()
      await eventually(() => ground.alive().length > 10 || undefined)
      await killLauncher(first, ground)
      await end(child)
      const runners = await Promise.all(guests.map((guest) => ground.open(guest)))
      expect(ground.records()).toEqual([])
      expect(ground.alive()).toEqual([])
      for (const runner of runners) await runner.close()
    }
  })

  test('leaves those of living programs alone', async () => {
    await using ground = new Ground()
    const first = await ground.open()
    const environment = first.native({ environment: { [TEST_MARK]: ground.mark } })
    const proc = await environment.newProcess('/bin/sh', '-c', TREE)
    await proc.start()
    await eventually(() => ground.alive().length >= 6 || undefined)
    const second = await ground.open()
    expect(second.swept).toBe(0)
    expect(await second.launcher.sweep()).toBe(0)
    await second.close()
    expect(await proc.isRunning()).toBe(true)
    await first.close()
    expect(ground.alive()).toEqual([])
    expect(ground.records()).toEqual([])
  })

  test('knows a program by more than its pid: one that has its number now is not its owner', async () => {
    await using ground = new Ground()
    const forged = `owner ${process.pid} ${startTimeOf(process.pid) - 1}`
    await ground.forge(await ground.open(), 'orphan', (record) => record.replace(/^owner .*$/m, forged))
    expect(ground.alive()).not.toEqual([])
    await using next = await ground.open()
    expect(ground.alive()).toEqual([])
    expect(ground.records()).toEqual([])
    expect((await next.launcher.list()).length).toBe(0)
  })

  test('never signals a process that has the number of another, nor its session or its members', async () => {
    await using ground = new Ground()
    const stranger = spawn('/bin/sh', ['-c', 'sleep 1000 & wait'], { detached: true })
    const pid = stranger.pid ?? 0
    await eventually(() => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8') !== '' || undefined)
    const member = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'))
    const dead = `owner 4194300 1`
    await ground.forge(
      await ground.open(),
      'forged',
      (record) =>
        record
          .replace(/^owner .*$/m, dead)
          .replace(
            /^leader .*$/m,
            `leader ${pid} ${startTimeOf(pid) + 1}\nmember ${member} ${startTimeOf(member) - 1}`,
          ),
      'exit 0',
    )
    const next = await ground.open()
    expect(ground.records()).toEqual([])
    await next.close()
    expect([isAlive(pid), isAlive(member)]).toEqual([true, true])
    process.kill(-pid, 'SIGKILL')
  })

  test('takes what an earlier boot has left for gone', async () => {
    await using ground = new Ground()
    const stranger = spawn('/bin/sleep', ['1000'])
    const pid = stranger.pid ?? 0
    const owner = `owner ${process.pid} ${startTimeOf(process.pid)}`
    await ground.forge(
      await ground.open(),
      'old',
      (record) =>
        record
          .replace(/^boot .*$/m, 'boot 00000000-aaaa')
          .replace(/^owner .*$/m, owner)
          .replace(/^leader .*$/m, `leader ${pid} ${startTimeOf(pid)}`),
      'exit 0',
    )
    const next = await ground.open()
    expect(ground.records()).toEqual([])
    await next.close()
    expect(isAlive(pid)).toBe(true)
    stranger.kill('SIGKILL')
  })

  test('puts aside what it cannot read, and goes on', async () => {
    await using ground = new Ground()
    await ground.forge(await ground.open(), 'orphan', (record) => record.replace(/^owner .*$/m, 'owner 4194300 1'))
    const whole = readFileSync(ground.record('orphan'), 'utf8')
    const unreadable = { cut: whole.slice(0, -9), later: whole.replace('cove-record 1', 'cove-record 9'), empty: '' }
    for (const [id, text] of Object.entries(unreadable)) writeFileSync(ground.record(id), text)
    const next = await ground.open()
    await next.close()
    expect(ground.records().toSorted()).toEqual(['cut.invalid', 'empty.invalid', 'later.invalid'])
    expect(ground.alive()).toEqual([])
  })

  test.runIf(isRoot)('works on a full disk', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'none', folder])
    try {
      await using ground = new Ground(join(folder, 's'))
      const child = await ground.doomed('none')
      await eventually(() => ground.alive().length > 10 || undefined)
      const filler = join(folder, 'filler')
      try {
        writeFileSync(filler, Buffer.alloc(1 << 20))
      } catch {
        // Filled to the brim.
      }
      await end(child)
      await eventually(() => ground.alive().length === 0 || undefined)
      await eventually(() => ground.records().length === 0 || undefined)
      expect(child.signalCode).toBe('SIGKILL')
      rmSync(filler)
    } finally {
      await eventually(() => {
        try {
          execFileSync('umount', [folder], { stdio: 'ignore' })
          return true
        } catch {
          return undefined
        }
      })
      rmSync(folder, { recursive: true })
    }
  })
})

describe('records', () => {
  test('are private, and say nothing of arguments and variables', async () => {
    await using ground = new Ground()
    mkdirSync(ground.state)
    chmodSync(ground.state, 0o755)
    const runner = await ground.open()
    const environment = runner.native({ environment: { [TEST_MARK]: ground.mark, TOKEN: 'very-secret' } })
    const proc = await environment.newProcess('/bin/sh', '-c', 'sleep 1000; : very-secret')
    await proc.start()
    expect(statSync(ground.state).mode & 0o777).toBe(0o700)
    const [name = ''] = ground.records()
    expect(statSync(join(ground.state, 'records', name)).mode & 0o777).toBe(0o600)
    const files = [...ground.records().map((file) => join('records', file)), 'launcher.log', 'installation']
    for (const file of files) {
      const path = join(ground.state, file)
      const text = statSync(path, { throwIfNoEntry: false }) === undefined ? '' : readFileSync(path, 'utf8')
      expect(text).not.toContain('very-secret')
    }
    await runner.close()
    expect(ground.records()).toEqual([])
  })

  test('do not pile up when processes end by themselves', async () => {
    await using ground = new Ground()
    await using runner = await ground.open()
    const environment = runner.native()
    await Promise.all(Array.from({ length: 30 }, async () => (await environment.newProcess('/bin/true')).run()))
    expect(ground.records()).toEqual([])
  })

  test('of another user’s folder are not touched', async () => {
    await using ground = new Ground()
    const link = join(ground.folder, 'link')
    execFileSync('ln', ['-s', '/tmp', link])
    await expect(openRunner({ stateFolder: link, guestProgram: GUEST_PROGRAM })).rejects.toMatchObject({
      code: 'permission-denied',
    })
  })
})
