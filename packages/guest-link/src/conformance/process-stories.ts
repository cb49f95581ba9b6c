import { describe, expect, it } from 'vitest'
import { chunks, collect, command, ENV, Host, newId, run, script, type GuestHarness, type Traits } from './harness.ts'

async function* silent(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('line\n')
  await new Promise(() => {})
}

/** Starting, ending, signalling, feeding and listing processes. */
export function processStories(make: () => Promise<GuestHarness>, { real }: Traits): void {
  describe('a process', () => {
    it.each([0, 1, 7, 255])('that exits with %i says so', async (code) => {
      await using host = new Host(await make())
      const ran = await run(await host.open(), script(host.harness, `exit ${code}`))
      expect(ran.exit).toEqual({ type: 'exit', exit: { kind: 'exited', code }, timedOut: false })
    })

    it('keeps stdout and stderr apart and in order', async () => {
      await using host = new Host(await make())
      const ran = await run(await host.open(), script(host.harness, 'echo one; echo two >&2; echo three'))
      expect(ran.stdout.toString()).toBe('one\nthree\n')
      expect(ran.stderr.toString()).toBe('two\n')
    })

    it('is told with its facts', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { info, events } = await link.start(command(host.harness, ['sleep', '60'], { cwd: host.harness.folder }))
      expect(info).toMatchObject({
        argv: ['sleep', '60'],
        cwd: host.harness.folder,
        user: host.harness.owner,
        terminal: false,
        timedOut: false,
        outputFrom: 0,
      })
      expect(info.pid).toBeGreaterThan(1)
      expect(info.exit).toBeUndefined()
      await link.signal(info.id, 9)
      const ran = await collect(events)
      expect(ran.exit?.exit).toEqual({ kind: 'signaled', signal: 9 })
      const [listed] = await link.processes()
      expect(listed).toMatchObject({ id: info.id, pid: info.pid, exit: { kind: 'signaled', signal: 9 } })
    })

    it('has the environment of the machine, and its own above it', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const identity = { hostname: 'cove', entropy: Buffer.alloc(32, 1), clock: Date.now() }
      await link.configure({ ...identity, env: { GREETING: 'hello', NAME: 'machine' } })
      const ran = await run(link, script(host.harness, 'echo $GREETING $NAME', { env: { ...ENV, NAME: 'process' } }))
      expect(ran.stdout.toString()).toBe('hello process\n')
      await link.configure({ ...identity, env: { GREETING: 'bye' } })
      expect((await run(link, script(host.harness, 'echo $GREETING'))).stdout.toString()).toBe('bye\n')
    })

    it('starts as whom and where the machine says, unless it says otherwise itself', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { harness } = host
      const identity = { hostname: 'cove', entropy: Buffer.alloc(32, 1), clock: Date.now(), env: {} }
      const where = { id: newId(), argv: ['sh', '-c', 'echo $USER; pwd'], env: {} }
      await link.configure({ ...identity, user: harness.owner, workdir: harness.folder })
      expect((await run(link, where)).stdout.toString()).toBe(`${harness.owner}\n${harness.folder}\n`)
      const elsewhere = { ...where, id: newId(), cwd: '/' }
      expect((await run(link, elsewhere)).stdout.toString()).toBe(`${harness.owner}\n/\n`)
      await link.configure({ ...identity, user: 'nobody-of-this-name' })
      await expect(link.start({ ...where, id: newId() })).rejects.toMatchObject({ code: 'user-not-found' })
      await link.configure({ ...identity, user: harness.owner, workdir: '/nowhere' })
      await expect(link.start({ ...where, id: newId() })).rejects.toMatchObject({ code: 'file-not-found' })
    })

    it('knows its user, and where it is', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { harness } = host
      const plain = { id: newId(), argv: ['sh', '-c', 'echo $USER $HOME $LANG; pwd'], env: {}, user: harness.owner }
      expect((await run(link, plain)).stdout.toString()).toBe('root /root C.UTF-8\n/root\n')
      const moved = await run(link, command(harness, ['pwd'], { cwd: harness.folder }))
      expect(moved.stdout.toString()).toBe(`${harness.folder}\n`)
    })

    it('that does not exist, or has no such user or folder, is refused', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { harness } = host
      await expect(link.start(command(harness, ['no-such-program']))).rejects.toMatchObject({
        code: 'command-not-found',
      })
      await expect(link.start(command(harness, ['/no/such']))).rejects.toMatchObject({ code: 'command-not-found' })
      await expect(link.start(command(harness, ['true'], { user: 'nobody-at-all' }))).rejects.toMatchObject({
        code: 'user-not-found',
      })
      await expect(link.start(command(harness, ['true'], { cwd: '/no/such' }))).rejects.toMatchObject({
        code: 'file-not-found',
      })
      expect(await link.processes()).toEqual([])
    })

    it.each([
      ['no program', { argv: [] }],
      ['a NUL in an argument', { argv: ['echo', 'a\0b'] }],
      ['an environment name with =', { env: { 'A=B': 'c' } }],
      ['an empty environment name', { env: { '': 'c' } }],
      ['a negative timeout', { timeoutMs: -1 }],
      ['half a millisecond', { timeoutMs: 0.5 }],
      ['a terminal without rows', { terminal: { rows: 0, columns: 80 } }],
      ['an id with a slash', { id: 'a/b' as ReturnType<typeof newId> }],
      ['a request that is too long', { argv: ['echo', 'x'.repeat(300_000)] }],
    ])('with %s is refused before it is sent', async (_name, more) => {
      await using host = new Host(await make())
      const link = await host.open()
      await expect(link.start(command(host.harness, ['true'], more))).rejects.toMatchObject({
        code: 'invalid-argument',
      })
      expect(await link.processes()).toEqual([])
    })

    it('is started once under one id', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const first = command(host.harness, ['true'])
      await run(link, first)
      await expect(link.start({ ...first })).rejects.toMatchObject({ code: 'already-exists' })
    })

    it('that nobody knows cannot be attached, signalled, fed or resized', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const gone = { code: 'process-not-found' }
      await expect(link.attach(newId(), 0)).rejects.toMatchObject(gone)
      await expect(link.signal(newId(), 15)).rejects.toMatchObject(gone)
      await expect(link.resize(newId(), { rows: 1, columns: 1 })).rejects.toMatchObject(gone)
      await expect(link.writeStdin(newId(), chunks('x'), { close: true })).rejects.toMatchObject(gone)
    })

    it('gets all of its stdin, byte for byte', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const input = Buffer.alloc(1_000_003, 'every byte \0\xff\x80', 'latin1')
      const { info, events } = await link.start(command(host.harness, ['cat'], { stdin: true }))
      const reading = collect(events)
      await link.writeStdin(info.id, chunks(input.subarray(0, 500_000)), { close: false })
      await link.writeStdin(info.id, chunks(input.subarray(500_000)), { close: true })
      const ran = await reading
      expect(ran.stdout.equals(input)).toBe(true)
      expect(ran.exit?.exit).toEqual({ kind: 'exited', code: 0 })
    })

    it('has an empty stdin unless one is asked for', async () => {
      await using host = new Host(await make())
      const ran = await run(await host.open(), command(host.harness, ['cat']))
      expect(ran.stdout.length).toBe(0)
      expect(ran.exit?.exit).toEqual({ kind: 'exited', code: 0 })
    })

    it('that ends as soon as it has read its stdin has taken all of it', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { info, events } = await link.start(script(host.harness, 'read x; echo $x', { stdin: true }))
      const ended = collect(events)
      async function* line() {
        yield Buffer.from('all\n')
        await ended
      }
      await link.writeStdin(info.id, line(), { close: true })
      expect((await ended).stdout.toString()).toBe('all\n')
    })

    it.runIf(real)('that has ended does not keep a silent writer waiting', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { info } = await link.start(script(host.harness, 'read x', { stdin: true }))
      await expect(link.writeStdin(info.id, silent(), { close: true })).rejects.toMatchObject({ code: 'wrong-state' })
    })

    it('that has ended takes no stdin', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const process = command(host.harness, ['true'], { stdin: true })
      await run(link, process)
      await expect(link.writeStdin(process.id, chunks('late'), { close: true })).rejects.toMatchObject({
        code: expect.stringMatching(/^(wrong-state|process-not-found)$/) as string,
      })
    })

    it('is ended at its timeout, with what it has written by then', async () => {
      await using host = new Host(await make())
      const ran = await run(await host.open(), script(host.harness, 'echo partial; sleep 60', { timeoutMs: 500 }))
      expect(ran.stdout.toString()).toBe('partial\n')
      expect(ran.exit).toEqual({ type: 'exit', exit: { kind: 'signaled', signal: 15 }, timedOut: true })
    })

    it('that ignores TERM is killed after the grace', async () => {
      await using host = new Host(await make())
      const text = "trap '' TERM; echo ready; sleep 60; sleep 60"
      const ran = await run(await host.open(), script(host.harness, text, { timeoutMs: 500, graceMs: 100 }))
      expect(ran.exit).toEqual({ type: 'exit', exit: { kind: 'signaled', signal: 9 }, timedOut: true })
    })

    it('that leaves a child behind with its output open ends all the same', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const began = performance.now()
      const ran = await run(link, script(host.harness, 'sleep 30 & echo parent'))
      expect(ran.stdout.toString()).toBe('parent\n')
      expect(ran.exit?.exit).toEqual({ kind: 'exited', code: 0 })
      expect(performance.now() - began).toBeLessThan(5000)
      await link.shutdown(0)
      await host.harness.exited
    })

    it.runIf(real)('that forks twice to get away ends at once, and what got away goes on', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const text = "setsid sh -c 'sleep 300 >/dev/null 2>&1 & echo $!'"
      const ran = await run(link, script(host.harness, text))
      expect(ran.exit?.exit).toEqual({ kind: 'exited', code: 0 })
      const alive = await run(link, script(host.harness, `kill -0 ${ran.stdout.toString().trim()} && echo alive`))
      expect(alive.stdout.toString()).toBe('alive\n')
      await link.shutdown(0)
      await host.harness.exited
    })

    it('on a terminal sees its size, also when it changes', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const terminal = { rows: 30, columns: 100 }
      const { info, events } = await link.start(
        script(host.harness, 'stty size; read go; stty size; cat', { terminal }),
      )
      expect(info.terminal).toBe(true)
      const reading = collect(events)
      await link.resize(info.id, { rows: 40, columns: 120 })
      await link.writeStdin(info.id, chunks('\n'), { close: true })
      const ran = await reading
      expect(ran.terminal.toString()).toMatch(/(30 100|40 120)\r\n/)
      expect(ran.terminal.toString()).toMatch(/40 120\r\n$/)
      expect(ran.stdout.length + ran.stderr.length).toBe(0)
    })

    it('on pipes has no size to change', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { info, events } = await link.start(command(host.harness, ['sleep', '60']))
      await expect(link.resize(info.id, { rows: 1, columns: 1 })).rejects.toMatchObject({
        code: expect.stringMatching(/^(wrong-state|invalid-argument)$/) as string,
      })
      await link.signal(info.id, 15)
      expect((await collect(events)).exit?.exit).toEqual({ kind: 'signaled', signal: 15 })
    })

    it('is not started while the guest is quiet', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      await link.quiesce(true)
      await expect(link.start(command(host.harness, ['true']))).rejects.toMatchObject({ code: 'busy' })
      await link.quiesce(false)
      expect((await run(link, command(host.harness, ['true']))).exit?.exit).toEqual({ kind: 'exited', code: 0 })
      await link.quiesce(true)
      host.streams.at(-1)?.destroy()
      expect((await run(link, command(host.harness, ['true']))).exit?.exit).toEqual({ kind: 'exited', code: 0 })
    })

    it('goes on when the call that started it is cancelled', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const caller = new AbortController()
      const process = script(host.harness, 'read x; echo $x; cat', { stdin: true })
      const { events } = await link.start(process, caller.signal)
      const reading = collect(events)
      caller.abort()
      await expect(reading).rejects.toMatchObject({ code: 'cancelled' })
      const attached = await link.attach(process.id, 0)
      await link.writeStdin(process.id, chunks('on\n'), { close: true })
      expect((await collect(attached.events)).stdout.toString()).toBe('on\n')
    })

    it('runs beside a hundred others', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const all = await Promise.all(
        Array.from({ length: 100 }, (_, index) => run(link, command(host.harness, ['echo', String(index)]))),
      )
      expect(all.map((ran) => ran.stdout.toString())).toEqual(Array.from({ length: 100 }, (_, index) => `${index}\n`))
      expect(await link.processes()).toHaveLength(100)
    })
  })
}
