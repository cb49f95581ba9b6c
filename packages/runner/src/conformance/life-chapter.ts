import type { Exit } from '@cove/domain'
import { describe, expect, it } from 'vitest'
import { codeOf, collect, lineOf, type RunnerStage, SUCCESS, textOf } from './runner-stage.ts'
import type { RunnerCapabilities } from './runner-subject.ts'

const TERM: Exit = { kind: 'signaled', signal: 15 }
const KILL: Exit = { kind: 'signaled', signal: 9 }
/** A group of two that ends when it is asked to; it says the pid of the second. */
const PAIR = 'sleep 1000 & echo $!; wait'
/** Neither of the two listens. */
const STUBBORN = 'trap "" TERM; (trap "" TERM; while :; do sleep 1; done) & echo $!; while :; do sleep 1; done'

export function lifeChapter(open: () => Promise<RunnerStage>, capabilities: RunnerCapabilities): void {
  describe('ends', () => {
    it('as it ended: a code, or a signal', async () => {
      await using stage = await open()
      for (const code of [0, 1, 7, 127, 255]) {
        expect(await (await stage.shell(`exit ${code}`)).run()).toEqual({ kind: 'exited', code })
      }
      expect(await (await stage.shell('kill -9 $$')).run()).toEqual(KILL)
      expect(await (await stage.shell('kill -11 $$')).run()).toEqual({ kind: 'signaled', signal: 11 })
    })

    it('once for everybody who waits', async () => {
      await using stage = await open()
      const proc = await stage.shell('sleep 0.1; exit 5')
      await proc.start()
      const waits = await Promise.all(Array.from({ length: 20 }, () => proc.wait()))
      expect(waits).toEqual(waits.map(() => ({ kind: 'exited', code: 5 })))
      expect(await proc.wait()).toEqual({ kind: 'exited', code: 5 })
    })

    it('is told apart from running', async () => {
      await using stage = await open()
      const proc = await stage.shell('sleep 1000')
      expect([await proc.isRunning(), proc.pid]).toEqual([false, undefined])
      await proc.start()
      expect([await proc.isRunning(), typeof proc.pid]).toEqual([true, 'number'])
      await proc.stop()
      expect([await proc.isRunning(), proc.pid]).toEqual([false, undefined])
    })
  })

  describe('stop', () => {
    it('asks the whole group, and forces nothing when that is enough', async () => {
      await using stage = await open()
      const proc = await stage.shell(PAIR)
      const child = lineOf(proc)
      await proc.start()
      const pid = await child
      const begun = performance.now()
      expect(await proc.stop()).toEqual(TERM)
      expect(performance.now() - begun).toBeLessThan(4000)
      await stage.waitUntilGone(pid)
    })

    it('lets a process end in its own way within the grace', async () => {
      await using stage = await open()
      const proc = await stage.shell('trap "echo bye; exit 6" TERM; echo ready; while :; do sleep 0.05; done')
      const lines = collect(proc)
      const ready = lineOf(proc)
      await proc.start()
      await ready
      expect(await proc.stop()).toEqual({ kind: 'exited', code: 6 })
      expect(textOf(lines, 'stdout')).toBe('ready\nbye\n')
    })

    it('kills the whole group after the grace', async () => {
      await using stage = await open()
      const proc = await stage.shell(STUBBORN)
      const child = lineOf(proc)
      await proc.start()
      const pid = await child
      const begun = performance.now()
      expect(await proc.stop({ graceMs: 200 })).toEqual(KILL)
      expect(performance.now() - begun).toBeGreaterThanOrEqual(195)
      await stage.waitUntilGone(pid)
    })

    it('waits no longer when its signal aborts, or when somebody else has less patience', async () => {
      await using stage = await open()
      for (const hurry of ['signal', 'second call']) {
        const proc = await stage.shell(STUBBORN)
        const child = lineOf(proc)
        await proc.start()
        await child
        const controller = new AbortController()
        const stopped = proc.stop({ graceMs: 600_000, signal: controller.signal })
        if (hurry === 'signal') controller.abort()
        else await proc.stop({ graceMs: 0 })
        expect(await stopped).toEqual(KILL)
      }
    })

    it('is not held up by somebody who has forgotten to read', async () => {
      await using stage = await open()
      const proc = await stage.shell('head -c 9000000 /dev/zero | tr "\\0" "\\n"; sleep 1000')
      const forgotten = proc.lines()[Symbol.asyncIterator]()
      await proc.start()
      await forgotten.next()
      expect(await proc.stop({ graceMs: 500 })).toMatchObject({ kind: 'signaled' })
    })

    it('is safe before the start, which then never happens', async () => {
      await using stage = await open()
      const proc = await stage.shell('echo never')
      expect(await proc.stop()).toBeUndefined()
      expect(await codeOf(() => proc.start())).toBe('wrong-state')
      expect(await codeOf(() => proc.wait())).toBe('wrong-state')
      expect(await proc.stop()).toBeUndefined()
    })

    it('is safe twice, at the same time, and after the end: the same answer', async () => {
      await using stage = await open()
      const proc = await stage.shell(PAIR)
      await proc.start()
      const answers = await Promise.all([proc.stop(), proc.stop({ graceMs: 10 }), proc.stop(), proc.wait()])
      expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
      expect(await proc.stop()).toEqual(answers[0])
      const ended = await stage.shell('exit 3')
      await ended.run()
      expect(await ended.stop()).toEqual({ kind: 'exited', code: 3 })
    })

    it('while it starts undoes the start, or ends what has started', async () => {
      await using stage = await open()
      const proc = await stage.shell('sleep 1000')
      const started = codeOf(() => proc.start())
      const exit = await proc.stop()
      const code = await started
      expect(exit === undefined ? code : 'no error').toBe(code)
      expect(['cancelled', 'no error']).toContain(code)
      expect(await proc.isRunning()).toBe(false)
    })

    it('of the environment ends all of its processes, and of closing one this one', async () => {
      await using stage = await open()
      const pids: string[] = []
      for (let index = 0; index < 3; index += 1) {
        const proc = await stage.shell(PAIR)
        const child = lineOf(proc)
        await proc.start()
        pids.push(await child)
      }
      let inner = ''
      {
        await using proc = await stage.shell(PAIR)
        const child = lineOf(proc)
        await proc.start()
        inner = await child
      }
      await stage.waitUntilGone(inner)
      await stage.environment.stop({ graceMs: 1000 })
      await stage.environment.stop()
      await stage.environment.init()
      for (const pid of pids) await stage.waitUntilGone(pid)
      expect(await stage.say('echo again')).toBe('again\n')
    })
  })

  describe('a signal that aborts', () => {
    it('before the start keeps it from starting', async () => {
      await using stage = await open()
      const started = await stage.shell('echo never')
      expect(await codeOf(() => started.start(AbortSignal.abort()))).toBe('cancelled')
      const run = await stage.shell('echo never')
      expect(await codeOf(() => run.run(AbortSignal.abort()))).toBe('cancelled')
    })

    it('at any moment of a run ends it and everything of it', async () => {
      await using stage = await open()
      for (let afterMs = 0; afterMs < 24; afterMs += 3) {
        const proc = await stage.shell(PAIR)
        const lines = collect(proc)
        expect(await codeOf(() => proc.run(AbortSignal.timeout(afterMs)))).toBe('cancelled')
        expect(await proc.isRunning()).toBe(false)
        if (lines[0] !== undefined) await stage.waitUntilGone(lines[0].text)
      }
    })

    it('after the end changes nothing', async () => {
      await using stage = await open()
      const controller = new AbortController()
      const proc = await stage.shell('exit 2')
      expect(await proc.run(controller.signal)).toEqual({ kind: 'exited', code: 2 })
      controller.abort()
      expect(await proc.wait()).toEqual({ kind: 'exited', code: 2 })
    })

    it('after a start that has succeeded changes nothing', async () => {
      await using stage = await open()
      const controller = new AbortController()
      const proc = await stage.shell('sleep 0.1; exit 2')
      await proc.start(controller.signal)
      controller.abort()
      expect(await proc.wait()).toEqual({ kind: 'exited', code: 2 })
    })
  })

  describe('a process that only launches another', () => {
    it('ends with it when it is told to wait for it', async () => {
      await using stage = await open()
      const name = `worker-${process.pid}`
      await stage.say('printf "#!/bin/sh\\nsleep 0.6\\n" > "$1"; chmod 755 "$1"', name)
      const proc = await stage.shell('"./$1" & exit 0', name)
      proc.withWaitOn(name)
      const begun = performance.now()
      expect(await proc.run()).toEqual(SUCCESS)
      expect(performance.now() - begun).toBeGreaterThan(550)
    })

    it('does not wait for a name that only begins like it, or that never comes', async () => {
      await using stage = await open()
      const proc = await stage.shell('sleep 1000 & exit 3')
      proc.withWaitOn('slee')
      expect(await proc.run()).toEqual({ kind: 'exited', code: 3 })
      await proc.stop({ graceMs: 100 })
      const alone = await stage.shell('exit 4')
      alone.withWaitOn('sleep')
      expect(await alone.run()).toEqual({ kind: 'exited', code: 4 })
    })

    it('and both are ended by stop', async () => {
      await using stage = await open()
      const proc = await stage.shell('sleep 1000 & trap "" TERM; echo $!; exit 0')
      proc.withWaitOn('sleep')
      const child = lineOf(proc)
      await proc.start()
      const pid = await child
      expect(await proc.isRunning()).toBe(true)
      expect(await proc.stop({ graceMs: 1000 })).toEqual(SUCCESS)
      await stage.waitUntilGone(pid)
    })
  })

  it('100 at once all tell how they ended', async () => {
    await using stage = await open()
    const exits = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const proc = await stage.shell(`echo ${index}; exit ${index}`)
        const lines = collect(proc)
        const exit = await proc.run()
        return [lines.map((line) => line.text), exit]
      }),
    )
    expect(exits).toEqual(exits.map((_, index) => [[String(index)], { kind: 'exited', code: index }]))
  })

  it.runIf(capabilities.findsDetached)('what has left its session and lost its parents is ended with it', async () => {
    await using stage = await open()
    const proc = await stage.shell('setsid sh -c "sleep 1000 & echo \\$!" & wait; sleep 1000')
    const child = lineOf(proc)
    await proc.start()
    const pid = await child
    expect(await stage.isAlive(pid)).toBe(true)
    await proc.stop({ graceMs: 200 })
    await stage.waitUntilGone(pid)
  })
}
