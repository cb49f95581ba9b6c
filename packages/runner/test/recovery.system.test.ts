import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { noisyTalk } from './support/noise.ts'
import { type Bench, eventually, GUEST_PROGRAM, isAlive, openBench } from './support/bench.ts'

async function killLauncher(bench: Bench): Promise<void> {
  process.kill(await bench.launcherPid(), 'SIGKILL')
}

/** Field 22 of /proc/<pid>/stat. */
function startTime(pid: number): number {
  return Number(
    readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')[19],
  )
}

describe('after the daemon was killed', () => {
  it('its successor finds every process, and exits that nobody was there to hear', async () => {
    await using bench = await openBench()
    await bench.start('stays', 'sleep 1000')
    const ends = await bench.start('ends', 'sleep 1000')
    await bench.launcher.close()
    process.kill(ends.pid, 'SIGKILL')
    const next = await bench.connect()
    expect((await next.list()).map(({ id }) => id)).toEqual(['ends', 'stays'])
    expect((await next.get('stays'))?.state).toBe('running')
    const seen = await next.get('ends')
    expect(await seen?.exited).toEqual({ kind: 'signaled', signal: 9 })
  })
})

describe('after the launcher was killed', () => {
  it('processes live on, calls fail once, and the next launcher takes over by itself', async () => {
    await using bench = await openBench()
    const sleeper = await bench.start('sleeper', 'sleep 1000', { note: 'mine' })
    await killLauncher(bench)
    const found = await eventually(async () => await bench.launcher.get('sleeper').catch(() => undefined))
    expect(found).toBe(sleeper)
    expect(found.state).toBe('running')
    expect(found.note).toBe('mine')
    process.kill(sleeper.pid, 'SIGKILL')
    expect(await sleeper.exited).toEqual({ kind: 'lost' })
    expect(await bench.record('sleeper')).toMatch(/^exit lost /m)
  })

  it('an exit that it wrote is never forged, one that it missed is lost', async () => {
    await using bench = await openBench()
    const known = await bench.start('known', 'exit 9')
    expect(await known.exited).toEqual({ kind: 'exited', code: 9 })
    const missed = await bench.start('missed', 'sleep 1000')
    await bench.launcher.close()
    const pid = await bench.connect().then(async (launcher) => {
      const record = await bench.record('missed')
      await launcher.close()
      return Number(/^launcher (\d+) /m.exec(record)?.[1])
    })
    process.kill(pid, 'SIGKILL')
    process.kill(missed.pid, 'SIGKILL')
    await eventually(() => !isAlive(missed.pid) || undefined)
    const next = await bench.connect()
    expect((await next.get('known'))?.exit).toEqual({ kind: 'exited', code: 9 })
    expect((await next.get('missed'))?.exit).toEqual({ kind: 'lost' })
  })

  it('held output goes on: the process is not killed by the broken pipe', async () => {
    await using bench = await openBench()
    const script = 'trap "echo got it; exit 0" USR1; echo ready; while :; do sleep 0.01; done'
    const process_ = await bench.start('talker', script, { stdio: 'held' })
    const output = async (): Promise<string> => Buffer.from(await process_.output('stdout')).toString()
    await eventually(async () => (await output()) === 'ready\n' || undefined)
    await killLauncher(bench)
    await eventually(async () => await bench.launcher.get('talker').catch(() => undefined))
    process.kill(process_.pid, 'SIGUSR1')
    await process_.exited
    expect(await output()).toBe('got it\n')
  })

  it('a destroy by the next one ends the whole tree of an adopted process', async () => {
    await using bench = await openBench()
    const tree = await bench.start('tree', 'sleep 1000 & echo $!; sleep 1000', { stdio: 'held' })
    const child = Number(await eventually(async () => Buffer.from(await tree.output('stdout')).toString() || undefined))
    await killLauncher(bench)
    await eventually(async () => await bench.launcher.get('tree').catch(() => undefined))
    await bench.launcher.destroy('tree')
    expect([tree.pid, child].filter(isAlive)).toEqual([])
  })

  it('in the middle of a start, what was half made shows as partial and can be destroyed', async () => {
    await using bench = await openBench()
    const folder = join(bench.folder, 'half')
    const record = (await bench.start('whole', 'sleep 1000', { folders: [{ path: folder, mode: 0o700 }] })).id
    const text = await bench.record(record)
    const half = text
      .replace(/^id whole$/m, 'id half')
      .replace(/^state .*$/m, 'state preparing')
      .replace(/^leader .*$/m, 'leader 0 0')
    await bench.launcher.destroy('whole')
    writeFileSync(join(bench.stateDir, 'records', 'half.record'), half, { mode: 0o600 })
    const [partial] = await bench.launcher.list()
    expect(partial).toMatchObject({ id: 'half', state: 'partial', pid: 0 })
    expect(await partial?.exited).toEqual({ kind: 'lost' })
    await bench.launcher.destroy('half')
    expect(readdirSync(bench.folder)).toEqual(['s'])
  })
})

describe('ephemeral processes', () => {
  it('end when their owner ends', async () => {
    await using bench = await openBench()
    const owner = spawn('/bin/sleep', ['1000'])
    const pid = owner.pid ?? 0
    const child = await bench.start('child', 'sleep 1000', { owner: { pid, startTime: startTime(pid) } })
    owner.kill('SIGKILL')
    await child.exited
    await eventually(async () => (await bench.launcher.list()).length === 0 || undefined)
    expect(isAlive(child.pid)).toBe(false)
  })

  it('are swept by the next launcher when both have died, and durable ones are not', async () => {
    await using bench = await openBench()
    const owner = spawn('/bin/sleep', ['1000'])
    const pid = owner.pid ?? 0
    const child = await bench.start('child', 'sleep 1000', { owner: { pid, startTime: startTime(pid) } })
    await bench.start('durable', 'sleep 1000')
    const launcher = await bench.launcherPid()
    await bench.launcher.close()
    process.kill(launcher, 'SIGKILL')
    owner.kill('SIGKILL')
    await eventually(() => !isAlive(pid) || undefined)
    expect(isAlive(child.pid)).toBe(true)
    const next = await bench.connect()
    await eventually(() => !isAlive(child.pid) || undefined)
    const ids = await eventually(async () => {
      const list = await next.list()
      return list.length === 1 ? list.map((entry) => entry.id) : undefined
    })
    expect(ids).toEqual(['durable'])
  })

  it('of an owner that does not run are refused', async () => {
    await using bench = await openBench()
    const owner = { pid: process.pid, startTime: startTime(process.pid) + 1 }
    await expect(bench.start('child', 'true', { owner })).rejects.toMatchObject({ code: 'invalid-argument' })
  })
})

describe('records', () => {
  it('of a pid that now means another process never lead to a signal', async () => {
    await using bench = await openBench()
    const stranger = spawn('/bin/sleep', ['1000'])
    const pid = stranger.pid ?? 0
    await bench.start('forged', 'sleep 1000')
    const record = await bench.record('forged')
    await bench.launcher.destroy('forged')
    const path = join(bench.stateDir, 'records', 'forged.record')
    writeFileSync(path, record.replace(/^leader .*$/m, `leader ${pid} ${startTime(pid) - 1}`), { mode: 0o600 })
    const found = await bench.launcher.get('forged')
    expect(found?.exit).toEqual({ kind: 'lost' })
    await found?.signal(9, 'leader')
    await found?.signal(9, 'group')
    await bench.launcher.destroy('forged')
    expect(isAlive(pid)).toBe(true)
    stranger.kill('SIGKILL')
  })

  it('of an earlier boot are of processes that are gone', async () => {
    await using bench = await openBench()
    const mine = await bench.start('mine', 'sleep 1000')
    const record = await bench.record('mine')
    const old = record.replace(/^id .*$/m, 'id old').replace(/^boot .*$/m, 'boot 00000000-aaaa')
    writeFileSync(join(bench.stateDir, 'records', 'old.record'), old, { mode: 0o600 })
    expect((await bench.launcher.get('old'))?.exit).toEqual({ kind: 'lost' })
    await bench.launcher.destroy('old')
    expect(isAlive(mine.pid)).toBe(true)
  })

  it('that cannot be understood are moved away and nothing else', async () => {
    await using bench = await openBench()
    const good = await bench.start('good', 'sleep 1000')
    const record = await bench.record('good')
    const records = join(bench.stateDir, 'records')
    const damaged = {
      cut: record.slice(0, -20),
      empty: '',
      binary: Buffer.from([0xff, 0xfe, 0]),
      later: record.replace('cove-record 1', 'cove-record 2'),
      other: record,
      leader: record.replace(/^id .*$/m, 'id leader').replace(/^leader .*$/m, 'leader 1 0'),
      doubled: record.replace(/^id .*$/m, 'id doubled\nid doubled'),
    }
    for (const [id, content] of Object.entries(damaged)) {
      writeFileSync(join(records, `${id}.record`), content, { mode: 0o600 })
    }
    expect((await bench.launcher.list()).map((entry) => entry.id)).toEqual(['good'])
    expect(readdirSync(records).toSorted()).toEqual(
      [...Object.keys(damaged).map((id) => `${id}.invalid`), 'good.record'].toSorted(),
    )
    expect(isAlive(good.pid)).toBe(true)
  })

  it('of another installation are not shown, and its daemon is not let in', async () => {
    await using bench = await openBench()
    await expect(bench.connect({ installation: 'stranger' })).rejects.toMatchObject({ code: 'wrong-state' })
  })
})

describe('the launcher', () => {
  it('is one for all who ask at the same time', async () => {
    await using bench = await openBench()
    await bench.launcher.stopLauncher()
    const launchers = await Promise.all(Array.from({ length: 8 }, async () => await bench.connect()))
    const [first] = launchers
    await first?.start({ id: 'x', owner: 'durable', argv: ['/bin/sleep', '1000'], env: {} })
    for (const launcher of launchers) expect(await launcher.list()).toHaveLength(1)
  })

  it('does not stop while something lives, ends by itself when it has nothing to do', async () => {
    await using bench = await openBench()
    const pid = await bench.launcherPid()
    await bench.start('busy', 'sleep 1000')
    await expect(bench.launcher.stopLauncher()).rejects.toMatchObject({ code: 'wrong-state' })
    await bench.launcher.destroy('busy')
    await bench.launcher.stopLauncher()
    await eventually(() => !isAlive(pid) || undefined)
    const next = await bench.connect({ idleMs: 20 })
    await next.start({ id: 'brief', owner: 'durable', argv: ['/bin/true'], env: {} })
    const idle = Number(/^launcher (\d+) /m.exec(await bench.record('brief'))?.[1])
    await next.close()
    await eventually(() => !isAlive(idle) || undefined)
    expect(readdirSync(bench.stateDir).filter((name) => name.endsWith('.sock'))).toEqual([])
  })

  it('of a new version runs beside the old one, which still tells how its children end, then ends itself', async () => {
    await using bench = await openBench()
    const old = await bench.launcherPid()
    const child = await bench.start('child', 'sleep 1000')
    const other = await bench.start('other', 'sleep 1000')
    await bench.launcher.close()
    const binary = join(bench.folder, 'newer')
    writeFileSync(binary, Buffer.concat([readFileSync(GUEST_PROGRAM), Buffer.from('newer')]), { mode: 0o755 })
    const next = await bench.connect({ binary, idleMs: 100 })
    const adopted = await next.get('child')
    process.kill(child.pid, 'SIGTERM')
    expect(await adopted?.exited).toEqual({ kind: 'signaled', signal: 15 })
    await next.destroy('child')
    expect(isAlive(old)).toBe(true)
    await next.destroy('other')
    expect(isAlive(other.pid)).toBe(false)
    await eventually(() => !isAlive(old) || undefined)
    await next.stopLauncher()
    await using last = await bench.connect()
    expect(await last.list()).toEqual([])
    expect(readdirSync(bench.stateDir).filter((name) => name.endsWith('.lock'))).toHaveLength(1)
  })

  it('survives whatever is sent to its socket', async () => {
    await using bench = await openBench()
    const pid = await bench.launcherPid()
    const kept = await bench.start('kept', 'sleep 1000')
    const name = readdirSync(bench.stateDir).find((entry) => entry.endsWith('.sock')) ?? ''
    for (let round = 0; round < 300; round += 1) {
      const socket = createConnection({ path: join(bench.stateDir, name) })
      await new Promise((resolve) => socket.once('connect', resolve))
      socket.end(noisyTalk(round))
      socket.resume()
      await new Promise((resolve) => socket.once('close', resolve).once('error', resolve))
    }
    expect(isAlive(pid)).toBe(true)
    expect(await bench.launcher.list()).toEqual([kept])
  })
})
