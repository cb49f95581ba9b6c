import { createConnection } from 'node:net'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Bench, eventually, isAlive, openBench, shell } from './support/bench.ts'

const text = async (bytes: Promise<Uint8Array>): Promise<string> => Buffer.from(await bytes).toString()

describe('a host process', () => {
  it('is started, seen, ends with its own code, and goes without a trace', async () => {
    await using bench = await openBench()
    const folder = join(bench.folder, 'm')
    const process = await bench.start('one', 'echo out; echo err >&2; exit 7', {
      stdio: 'held',
      note: 'two\nlines \\ and more',
      folders: [{ path: folder, mode: 0o751 }],
      removeOnDestroy: [folder],
    })
    expect(process.pid).toBeGreaterThan(1)
    expect(await process.exited).toEqual({ kind: 'exited', code: 7 })
    expect(process.state).toBe('exited')
    expect(await text(process.output('stdout'))).toBe('out\n')
    expect(await text(process.output('stderr'))).toBe('err\n')
    const [listed] = await bench.launcher.list()
    expect(listed).toBe(process)
    expect(listed?.note).toBe('two\nlines \\ and more')
    await bench.launcher.destroy('one')
    await bench.launcher.destroy('one')
    expect(await bench.launcher.get('one')).toBeUndefined()
    expect(existsSync(folder)).toBe(false)
    expect(readdirSync(join(bench.stateDir, 'records'))).toEqual([])
  })

  it('that is killed tells the signal, also when signals go to the whole group', async () => {
    await using bench = await openBench()
    const process = await bench.start('group', 'sleep 1000 & echo $!; wait', { stdio: 'held' })
    const child = Number(await eventually(async () => (await text(process.output('stdout'))) || undefined))
    await process.signal(15, 'group')
    expect(await process.exited).toEqual({ kind: 'signaled', signal: 15 })
    await eventually(() => !isAlive(child) || undefined)
    await process.signal(9, 'group')
    await expect(process.signal(65, 'leader')).rejects.toMatchObject({ code: 'invalid-argument' })
  })

  it('has nothing of the daemon or the launcher: environment, descriptors, signals, umask', async () => {
    await using bench = await openBench()
    const script = 'env; ls -l /proc/self/fd; umask; grep -E "SigBlk|SigIgn" /proc/self/status; pwd'
    const process = await bench.start('bare', script, { stdio: 'held', env: { PATH: '/usr/bin:/bin', ONLY: 'this' } })
    await process.exited
    const said = await text(process.output('stdout'))
    expect(said).toContain('ONLY=this')
    expect(said).not.toContain('HOME=')
    const descriptors = [...said.matchAll(/ (\d+) -> (\S+)/g)].map((match) => match[1])
    // 3 is the folder that ls itself has open.
    expect(descriptors).toEqual(['0', '1', '2', '3'])
    expect(said).toContain('\n0022\n')
    expect(said).toMatch(/SigBlk:\s+0+\n/)
    expect(said).toMatch(/SigIgn:\s+0+\n/)
    expect(said.trimEnd().endsWith('/')).toBe(true)
  })

  it('finds its listening socket, sealed memory files and opened files at their descriptors', async () => {
    await using bench = await openBench()
    const socket = join(bench.folder, 'agent.sock')
    const script = `cat <&7; cat /proc/self/fd/200; (echo more >&7) 2>/dev/null || echo sealed; ls -l /proc/self/fd/4; cat`
    const process = await bench.start('fds', script, {
      stdio: 'held',
      listen: [{ fd: 4, path: socket, mode: 0o600 }],
      blobs: [{ fd: 7, data: Buffer.from('blob\n') }],
      files: [{ fd: 200, path: '/proc/sys/kernel/ostype', write: false }],
    })
    await process.exited
    const said = await text(process.output('stdout'))
    expect(said).toContain('blob\nLinux\nsealed\n')
    expect(said).toContain('/proc/self/fd/4 -> socket:')
    await bench.launcher.destroy('fds')
    expect(existsSync(socket)).toBe(false)
  })

  it('can be reached on its socket as soon as the start has answered', async () => {
    await using bench = await openBench()
    const path = join(bench.folder, 'agent.sock')
    await bench.start('dial', 'sleep 1000', { listen: [{ fd: 3, path, mode: 0o600 }] })
    const socket = createConnection({ path })
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    expect(socket.readyState).toBe('open')
    socket.destroy()
  })

  it('keeps the last 64 KiB of its output however much it says', async () => {
    await using bench = await openBench()
    const process = await bench.start('loud', 'head -c 3000000 /dev/zero | tr "\\0" x; printf end', { stdio: 'held' })
    await process.exited
    const said = await text(process.output('stdout'))
    expect(said.length).toBe(65_536)
    expect(said.endsWith('xxxend')).toBe(true)
  })

  it('takes its whole tree along, also children in other sessions and stopped ones', async () => {
    await using bench = await openBench()
    const script =
      'setsid sh -c "sleep 1000 & echo \\$!; wait" & sleep 1000 & echo $!; sh -c "kill -STOP \\$\\$" & wait'
    const process = await bench.start('tree', script, { stdio: 'held' })
    const pids = await eventually(async () => {
      const words = (await text(process.output('stdout'))).trim().split('\n')
      return words.length === 2 ? words.map(Number) : undefined
    })
    await bench.launcher.destroy('tree')
    expect(pids.filter(isAlive)).toEqual([])
    expect(await process.exited).toEqual({ kind: 'signaled', signal: 9 })
  })

  it('takes along what it left behind in its session when it ended', async () => {
    await using bench = await openBench()
    const process = await bench.start('orphan', 'sleep 1000 & echo $!', { stdio: 'held' })
    expect(await process.exited).toEqual({ kind: 'exited', code: 0 })
    const orphan = Number(await text(process.output('stdout')))
    expect(isAlive(orphan)).toBe(true)
    await bench.launcher.destroy('orphan')
    expect(isAlive(orphan)).toBe(false)
  })
})

describe('a start that cannot be', () => {
  it('says why, and leaves nothing', async () => {
    await using bench = await openBench()
    const folder = join(bench.folder, 'm')
    const socket = join(folder, 's')
    const more = { folders: [{ path: folder, mode: 0o700 }], listen: [{ fd: 3, path: socket, mode: 0o600 }] }
    const failing: [string, Parameters<Bench['launcher']['start']>[0]][] = [
      ['command-not-found', { ...shell('a', ''), ...more, argv: ['/no/such/program'] }],
      ['permission-denied', { ...shell('b', ''), ...more, argv: ['/etc'] }],
      ['driver-failed', { ...shell('c', ''), ...more, cwd: '/no/such/folder' }],
      ['driver-failed', { ...shell('d', ''), ...more, files: [{ fd: 5, path: '/no/such/file', write: false }] }],
      ['invalid-argument', { ...shell('e', ''), ...more, argv: ['relative'] }],
      ['invalid-argument', { ...shell('../f', ''), ...more }],
      ['invalid-argument', { ...shell('g', ''), ...more, removeOnDestroy: ['/tmp/../etc'] }],
      ['invalid-argument', { ...shell('h', ''), ...more, env: { 'A=B': 'c' } }],
      ['invalid-argument', { ...shell('i', ''), listen: [{ fd: 3, path: `/tmp/${'x'.repeat(110)}`, mode: 0o600 }] }],
      ['payload-too-large', { ...shell('j', ''), blobs: [{ fd: 3, data: new Uint8Array(2 << 20) }] }],
    ]
    for (const [code, spec] of failing) {
      await expect(bench.launcher.start(spec), `start of ${spec.id}`).rejects.toMatchObject({ code })
      expect(existsSync(folder)).toBe(false)
    }
    expect(await bench.launcher.list()).toEqual([])
    expect(readdirSync(join(bench.stateDir, 'records'))).toEqual([])
  })

  it('refuses what exists already and does not touch it', async () => {
    await using bench = await openBench()
    await bench.start('same', 'sleep 1000')
    await expect(bench.start('same', 'true')).rejects.toMatchObject({ code: 'already-exists' })
    expect((await bench.launcher.get('same'))?.state).toBe('running')
    const folders = [{ path: bench.folder, mode: 0o700 }]
    await expect(bench.start('other', 'true', { folders })).rejects.toMatchObject({ code: 'already-exists' })
    expect(existsSync(bench.stateDir)).toBe(true)
  })

  it('is undone when it is cancelled', async () => {
    await using bench = await openBench()
    const abort = new AbortController()
    const starting = bench.launcher.start(shell('late', 'sleep 1000'), abort.signal)
    abort.abort()
    await expect(starting).rejects.toMatchObject({ code: 'cancelled' })
    expect(await bench.launcher.get('late')).toBeUndefined()
    await expect(bench.launcher.start(shell('late', 'true'), abort.signal)).rejects.toMatchObject({ code: 'cancelled' })
  })
})

describe('what is kept on disk', () => {
  it('stands before the program runs, readable by its owner only, without argv, environment and content', async () => {
    await using bench = await openBench()
    const record = join(bench.stateDir, 'records', 'secret.record')
    const process = await bench.start(
      'secret',
      `stat -c %a ${record}; cat ${record}; cat <&3 >/dev/null; # hunter2-argv`,
      {
        stdio: 'held',
        env: { PATH: '/usr/bin:/bin', KEY: 'hunter2-env' },
        blobs: [{ fd: 3, data: Buffer.from('hunter2-blob') }],
      },
    )
    await process.exited
    const seen = await text(process.output('stdout'))
    expect(seen).toContain(`\nleader ${process.pid} ${process.startTime}\n`)
    expect(seen.startsWith('600\n')).toBe(true)
    expect(seen).not.toContain('hunter2')
    expect(await bench.record('secret')).not.toContain('hunter2')
    const log = join(bench.stateDir, 'launcher.log')
    expect(existsSync(log) ? readFileSync(log, 'utf8') : '').not.toContain('hunter2')
  })
})
