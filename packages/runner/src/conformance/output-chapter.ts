import { buffer, text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { LONGEST_LINE_BYTES, type Line } from '../environment/line.ts'
import { collect, lineOf, type RunnerStage, SUCCESS, textOf } from './runner-stage.ts'
import type { RunnerCapabilities } from './runner-subject.ts'

export function outputChapter(open: () => Promise<RunnerStage>, capabilities: RunnerCapabilities): void {
  describe('output', () => {
    it('comes as lines of both streams, all before the process is said to have ended', async () => {
      await using stage = await open()
      const proc = await stage.shell(
        'i=0; while [ $i -lt 2000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; printf last',
      )
      const lines = collect(proc)
      expect(await proc.run()).toEqual(SUCCESS)
      const numbers = Array.from({ length: 2000 }, (_, index) => index)
      expect(textOf(lines, 'stdout')).toBe(`${numbers.map((number) => `out ${number}\n`).join('')}last\n`)
      expect(textOf(lines, 'stderr')).toBe(numbers.map((number) => `err ${number}\n`).join(''))
      expect(lines.some((line) => line.continued)).toBe(false)
    })

    it('keeps empty lines, carriage returns and what is not text', async () => {
      await using stage = await open()
      const proc = await stage.shell(String.raw`printf '\n\na\r\n\377\303\251\n'`)
      const lines = collect(proc)
      await proc.run()
      expect(lines.map((line) => line.text)).toEqual(['', '', 'a\r', '\u{FFFD}é'])
    })

    it('has long lines whole', async () => {
      await using stage = await open()
      const length = 5_000_000
      const proc = await stage.shell(`head -c ${length} /dev/zero | tr '\\0' x; echo; echo after`)
      const lines = collect(proc)
      await proc.run()
      expect(lines.map((line) => [line.text.length, line.continued])).toEqual([
        [length, false],
        [5, false],
      ])
    })

    it('has a line without an end in pieces of a bounded size', async () => {
      await using stage = await open()
      const total = LONGEST_LINE_BYTES * 2 + 1000
      const proc = await stage.shell(`head -c ${total} /dev/zero | tr '\\0' x`)
      const pieces: [number, boolean][] = []
      proc.withOutput((line) => {
        pieces.push([line.text.length, line.continued])
      })
      await proc.run()
      expect(pieces).toEqual([
        [LONGEST_LINE_BYTES, true],
        [LONGEST_LINE_BYTES, true],
        [1000, false],
      ])
    })

    it('goes to every sink and reader, and a sink that waits makes the process wait', async () => {
      await using stage = await open()
      const proc = await stage.shell('i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); done')
      const quick = collect(proc)
      const slow: Line[] = []
      proc.withOutput(async (line) => {
        await new Promise((resolve) => setImmediate(resolve))
        slow.push(line)
      })
      const read: Line[] = []
      const lines = proc.lines()
      const reading = (async () => {
        for await (const line of lines) read.push(line)
      })()
      await proc.run()
      expect(slow).toHaveLength(300)
      expect(slow).toEqual(quick)
      await reading
      expect(read).toEqual(quick)
    })

    it('that nobody takes in time is held back, and is all there afterwards', async () => {
      await using stage = await open()
      const { directory } = stage.rig
      const proc = await stage.shell('head -c 30000000 /dev/zero | tr "\\0" "\\n"; echo end > "$1/end"', directory)
      const gate = Promise.withResolvers<void>()
      let count = 0
      proc.withOutput((line) => {
        count += line.stream === 'stdout' ? 1 : 0
        return count === 1 ? gate.promise : undefined
      })
      await proc.start()
      await expect.poll(() => count).toBe(1)
      expect(await stage.say('sleep 0.3; cat "$1/end" 2>/dev/null || echo none', directory)).toBe('none\n')
      gate.resolve()
      expect(await proc.wait()).toEqual(SUCCESS)
      expect(count).toBe(30_000_000)
    })

    it('of a sink that fails goes on to the others', async () => {
      await using stage = await open()
      const proc = await stage.shell('echo 1; echo 2; echo 3')
      let calls = 0
      proc.withOutput(() => {
        calls += 1
        throw new Error('no')
      })
      const lines = collect(proc)
      expect(await proc.run()).toEqual(SUCCESS)
      expect([calls, lines.length]).toEqual([1, 3])
    })

    it('is raw through the pipe of stdout, whatever bytes it has, and then goes to no sink', async () => {
      await using stage = await open()
      const proc = await stage.shell(
        String.raw`head -c 3000000 /dev/zero; printf '\000\377\n\r\n\001'; echo to stderr >&2`,
      )
      const lines = collect(proc)
      const piped = buffer(proc.stdoutPipe())
      expect(await proc.run()).toEqual(SUCCESS)
      const wanted = Buffer.concat([Buffer.alloc(3_000_000), Buffer.from([0, 255, 10, 13, 10, 1])])
      expect(wanted.equals(await piped)).toBe(true)
      expect(lines.map((line) => [line.stream, line.text])).toEqual([['stderr', 'to stderr']])
    })

    it('of the pipe of stdout can be read after the end', async () => {
      await using stage = await open()
      const proc = await stage.shell('echo still here')
      const pipe = proc.stdoutPipe()
      await proc.run()
      expect(await text(pipe)).toBe('still here\n')
    })

    it('of something left running does not hold up the end', async () => {
      await using stage = await open()
      const guard = capabilities.closesOutputOfLeftovers === true ? 'trap "" PIPE; ' : ''
      const proc = await stage.shell(`(${guard}while :; do echo noise; sleep 0.01; done) & echo $!; exit 4`)
      const lines = collect(proc)
      const begun = performance.now()
      expect(await proc.run()).toEqual({ kind: 'exited', code: 4 })
      expect(performance.now() - begun).toBeLessThan(5000)
      const said = lines.length
      // The other one may have been quicker.
      const pid = lines.find((line) => /^\d+$/.test(line.text))?.text ?? ''
      expect(await stage.isAlive(pid)).toBe(true)
      await proc.stop({ graceMs: 1000 })
      await stage.waitUntilGone(pid)
      // Nothing comes after the end.
      expect(lines).toHaveLength(said)
    })
  })

  describe('input', () => {
    it('is empty unless there is a pipe', async () => {
      await using stage = await open()
      expect(await stage.say('cat; echo end')).toBe('end\n')
    })

    it('goes in as it is, more than fits anywhere, and its end is the end', async () => {
      await using stage = await open()
      const proc = await stage.environment.newProcess('cat')
      const input = Buffer.from('0123456789abcde\n'.repeat(400_000))
      proc.stdinPipe().end(input)
      const output = buffer(proc.stdoutPipe())
      expect(await proc.run()).toEqual(SUCCESS)
      expect(input.equals(await output)).toBe(true)
    })

    it('that is not read waits, and breaks nothing when the process ends', async () => {
      await using stage = await open()
      const proc = await stage.shell('echo ready; sleep 0.2; exit 3')
      const stdin = proc.stdinPipe()
      expect(stdin.write(Buffer.alloc(10_000_000))).toBe(false)
      const ready = lineOf(proc)
      await proc.start()
      expect(await ready).toBe('ready')
      expect(await proc.wait()).toEqual({ kind: 'exited', code: 3 })
      expect(stdin.destroyed).toBe(true)
    })

    it('can be a conversation', async () => {
      await using stage = await open()
      const proc = await stage.shell('while read -r word; do echo "got $word"; done; echo bye')
      const stdin = proc.stdinPipe()
      const heard: string[] = []
      const lines = proc.lines()
      await proc.start()
      stdin.write('first\n')
      for await (const line of lines) {
        heard.push(line.text)
        if (line.text === 'got first') stdin.write('second\n')
        if (line.text === 'got second') stdin.end()
      }
      expect(heard).toEqual(['got first', 'got second', 'bye'])
      expect(await proc.wait()).toEqual(SUCCESS)
    })
  })
}
