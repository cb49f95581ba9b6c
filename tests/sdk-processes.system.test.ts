import { Cove, type Sandbox } from '@cove/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TestDaemon } from './support/daemon.ts'

describe('background processes', () => {
  let daemon: TestDaemon
  let sandbox: Sandbox
  /** Another client, which knows nothing but the sandbox's id. */
  let other: ReturnType<Cove['sandboxes']['at']>
  beforeAll(async () => {
    daemon = await TestDaemon.start()
    sandbox = await daemon.client().sandboxes.create()
    other = daemon.client().sandboxes.at(sandbox.id)
  })
  afterAll(() => daemon[Symbol.asyncDispose]())

  it('are started by one client, and found, fed, read, waited for and ended by another', async () => {
    const started = await sandbox.processes.start(
      ['sh', '-c', 'while read line; do echo "out $line"; echo "err $line" >&2; done'],
      { id: 'echo', stdin: true },
    )
    expect(started).toMatchObject({ id: 'echo', terminal: false, timedOut: false })
    expect(started).not.toHaveProperty('exit')
    expect((await other.processes.list()).map(({ id }) => id)).toEqual(['echo'])
    expect(await other.processes.get('echo')).toMatchObject({ id: 'echo', pid: started.pid, argv: started.argv })

    await other.processes.write('echo', 'one\n')
    let text = ''
    let next = 0
    while (text.length < 16) {
      const part = await other.processes.read('echo', { from: next, waitMs: 30_000 })
      text += part.text
      expect(part.next).toBe(next + part.bytes.byteLength)
      next = part.next
    }
    expect(text.split('\n').toSorted()).toEqual(['', 'err one', 'out one'])
    const whole = await other.processes.read('echo')
    expect([whole.next, whole.missed, whole.timedOut]).toEqual([16, 0, false])
    const streams = [whole.stdoutBytes, whole.stderrBytes].map((bytes) => Buffer.from(bytes).toString())
    expect(streams).toEqual(['out one\n', 'err one\n'])

    const waiting = other.processes.wait('echo')
    await sandbox.processes.closeStdin('echo')
    expect(await waiting).toEqual({ exit: { kind: 'exited', code: 0 }, timedOut: false })
    const last = await sandbox.processes.read('echo', { from: next })
    expect(last).toMatchObject({ text: '', next, exit: { kind: 'exited', code: 0 } })
  })

  it('answer at once when there is nothing new, and after a while when told to wait', async () => {
    await sandbox.processes.start(['sh', '-c', 'echo first; exec sleep 1000'], { id: 'quiet' })
    const first = await other.processes.read('quiet', { waitMs: 30_000 })
    expect(first.text).toBe('first\n')
    for (const waitMs of [0, 50]) {
      const part = await other.processes.read('quiet', { from: first.next, waitMs })
      expect([part.text, part.next, part.exit]).toEqual(['', first.next, undefined])
    }
    expect((await other.processes.read('quiet', { from: 'now' })).next).toBe(first.next)
    const waiting = other.processes.read('quiet', { from: 'now', waitMs: 30_000 })
    await other.processes.signal('quiet', 'TERM')
    expect((await waiting).exit).toEqual({ kind: 'signaled', signal: 15 })
    await other.processes.kill('quiet')
  })

  it('are read in parts of any size', async () => {
    await sandbox.processes.start(['seq', '2000'], { id: 'seq' })
    await other.processes.wait('seq')
    let text = ''
    let reads = 0
    let part = await other.processes.read('seq', { maxBytes: 1000 })
    for (; part.exit === undefined; part = await other.processes.read('seq', { from: part.next, maxBytes: 1000 })) {
      expect(part.bytes.byteLength).toBeLessThanOrEqual(1000)
      text += part.text
      reads++
    }
    text += part.text
    expect(text).toBe(Array.from({ length: 2000 }, (_, i) => `${i + 1}\n`).join(''))
    expect(reads).toBeGreaterThanOrEqual(8)
  })

  it('tell how much was overwritten before anybody read it', async () => {
    await sandbox.processes.start(['head', '-c', '1000000', '/dev/zero'], { id: 'zeros' })
    await other.processes.wait('zeros')
    const part = await other.processes.read('zeros')
    expect([part.missed + part.bytes.byteLength, part.next]).toEqual([1_000_000, 1_000_000])
    expect(part.missed).toBeGreaterThan(0)
  })

  it('are started once however often the start is repeated under their id', async () => {
    const command = ['sh', '-c', 'echo ran >> /home/user/runs; echo ready; exec sleep 1000']
    const start = () => sandbox.processes.start(command, { id: 'once', ifExists: 'attach' })
    const pids = await Promise.all([
      start(),
      start(),
      other.processes.start(command, { id: 'once', ifExists: 'attach' }),
    ])
    expect(new Set(pids.map(({ pid }) => pid)).size).toBe(1)
    await other.processes.read('once', { waitMs: 30_000 })
    expect(await sandbox.files.readText('/home/user/runs')).toBe('ran\n')
    await expect(sandbox.processes.start(command, { id: 'once' })).rejects.toMatchObject({ code: 'already-exists' })
    const otherCommand = sandbox.processes.start(['sleep', '1'], { id: 'once', ifExists: 'attach' })
    await expect(otherCommand).rejects.toMatchObject({ code: 'already-exists' })
    await sandbox.processes.kill('once')
  })

  it('take input of any size, and a terminal has a size', async () => {
    await sandbox.processes.start(['sh', '-c', 'wc -c'], { id: 'count', stdin: true })
    await other.processes.write('count', new Uint8Array(2_500_000).fill(120))
    await other.processes.closeStdin('count')
    await other.processes.wait('count')
    expect((await other.processes.read('count')).text.trim()).toBe('2500000')
    await sandbox.processes.start(['sh', '-c', 'read x; stty size'], { id: 'tty', terminal: { rows: 1, columns: 2 } })
    await other.processes.resize('tty', { rows: 30, columns: 40 })
    await other.processes.write('tty', '\n')
    await other.processes.wait('tty')
    expect((await other.processes.read('tty')).text).toContain('30 40')
  })

  it('have waits that end when asked, and errors that say why', async () => {
    await sandbox.processes.start(['sleep', '1000'], { id: 'long' })
    const { processes } = other
    const aborted = { signal: AbortSignal.abort() }
    const cases: [() => Promise<unknown>, string][] = [
      [() => processes.wait('long', { timeoutMs: 50 }), 'deadline-exceeded'],
      [() => processes.wait('long', aborted), 'cancelled'],
      [() => processes.read('long', { waitMs: 30_000, timeoutMs: 50 }), 'deadline-exceeded'],
      [() => processes.read('long', { waitMs: 30_000, signal: AbortSignal.timeout(50) }), 'deadline-exceeded'],
      [() => processes.read('long', aborted), 'cancelled'],
      [() => processes.start(['true'], aborted), 'cancelled'],
      [() => processes.read('long', { maxBytes: 0 }), 'invalid-argument'],
      [() => processes.get('none'), 'process-not-found'],
      [() => processes.read('none'), 'process-not-found'],
      [() => processes.wait('none'), 'process-not-found'],
      [() => processes.signal('none', 'TERM'), 'process-not-found'],
      [() => processes.write('long', 'no pipe'), 'wrong-state'],
    ]
    for (const [call, code] of cases) await expect(call(), code).rejects.toMatchObject({ code })
    await processes.kill('none')
    await processes.kill('long')
  })
})
