import { describe, expect, it } from 'vitest'
import type { ProcessEvent } from '@cove/domain'
import type { GuestLink } from '../guest-link.ts'
import { chunks, collect, command, Host, run, script, type GuestHarness, type Traits } from './harness.ts'

const RING = 262_144

/** Output: in bulk, attached again, overwritten, and read slowly. */
export function outputStories(make: () => Promise<GuestHarness>, { real, singleStream }: Traits): void {
  describe('output', () => {
    it('of many megabytes arrives whole', async () => {
      await using host = new Host(await make())
      const size = 20_000_000
      const ran = await run(await host.open(), command(host.harness, ['head', '-c', String(size), '/dev/zero']))
      expect(ran.stdout.length).toBe(size)
      expect(ran.gaps).toEqual([])
    })

    it('is told again from any offset that is still held', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const process = command(host.harness, ['echo', 'abcdef'])
      await run(link, process)
      const again = await link.attach(process.id, 3)
      expect(again.info).toMatchObject({ outputFrom: 0, outputTo: 7, exit: { kind: 'exited', code: 0 } })
      const ran = await collect(again.events)
      expect(ran.stdout.toString()).toBe('def\n')
      expect(ran.first).toBe(3)
      expect(ran.exit?.exit).toEqual({ kind: 'exited', code: 0 })
    })

    it('is told from its end when more is asked for than there is', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const process = command(host.harness, ['echo', 'abc'])
      await run(link, process)
      const ran = await collect((await link.attach(process.id, 1000)).events)
      expect(ran.stdout.length).toBe(0)
      expect(ran.gaps).toEqual([])
      expect(ran.exit?.exit).toEqual({ kind: 'exited', code: 0 })
    })

    it('is told from now on only when that is asked for', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { info, events } = await link.start(
        script(host.harness, 'echo old; read x; echo new; cat', { stdin: true }),
      )
      const iterator = events[Symbol.asyncIterator]()
      await iterator.next()
      const { events: later } = await link.attach(info.id, 'now')
      await link.writeStdin(info.id, chunks('\n'), { close: true })
      const ran = await collect(later)
      expect(ran.stdout.toString()).toBe('new\n')
      expect(ran.first).toBe(4)
      await iterator.return?.()
    })

    it('goes to everybody who is attached', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { info, events } = await link.start(script(host.harness, 'read x; echo both; cat', { stdin: true }))
      const other = await link.attach(info.id, 0)
      await link.writeStdin(info.id, chunks('\n'), { close: true })
      const [one, two] = await Promise.all([collect(events), collect(other.events)])
      expect([one.stdout.toString(), two.stdout.toString()]).toEqual(['both\n', 'both\n'])
    })

    it('that nobody read in time is a gap, and the newest is kept', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const size = 1_000_000
      const process = command(host.harness, ['head', '-c', String(size), '/dev/zero'])
      const { events } = await link.start(process)
      await events[Symbol.asyncIterator]().return?.()
      const end = await untilEnded(link, process.id)
      expect(end.outputTo).toBe(size)
      const ran = await collect((await link.attach(process.id, 0)).events)
      expect(ran.gaps).toEqual([{ from: 0, to: size - ran.stdout.length }])
      expect(ran.stdout.length).toBeGreaterThan(RING / 2)
      expect(ran.stdout.length).toBeLessThanOrEqual(RING)
      expect(ran.exit?.exit).toEqual({ kind: 'exited', code: 0 })
    })

    it('in full flow when the host is killed is there for the next one, with a gap at most', async () => {
      await using host = new Host(await make())
      const killed = await host.open()
      const size = 3_000_000
      const process = command(host.harness, ['head', '-c', String(size), '/dev/zero'])
      const { events } = await killed.start(process)
      await events[Symbol.asyncIterator]().next()
      host.streams.at(-1)?.destroy()
      const next = await host.open()
      const ran = await collect((await next.attach(process.id, 0)).events)
      const lost = ran.gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0)
      expect(ran.stdout.length + lost).toBe(size)
      expect(ran.exit?.exit).toEqual({ kind: 'exited', code: 0 })
    })

    it('that is read slowly holds up its own process and nobody else', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { info, events } = await link.start(command(host.harness, ['yes']))
      const iterator = events[Symbol.asyncIterator]()
      await iterator.next()
      // Unread: the process fills its credit and stops there.
      const held = await untilStill(link, info.id)
      expect(held).toBeLessThan(8 * 1024 * 1024)
      for (let count = 0; count < 20; count += 1) {
        const ran = await run(link, command(host.harness, ['echo', 'quick']))
        expect(ran.stdout.toString()).toBe('quick\n')
      }
      // Read again: it goes on where it stopped.
      let read = 0
      while (read < held + 1_000_000) {
        const { value } = (await iterator.next()) as { value: ProcessEvent }
        read += value.type === 'output' ? value.data.length : 0
      }
      await iterator.return?.()
      await link.signal(info.id, 9)
    })

    it('that is not read any more lets the process go on', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const process = command(host.harness, ['head', '-c', '5000000', '/dev/zero'])
      const { events } = await link.start(process)
      for await (const event of events) if (event.type === 'output') break
      expect((await untilEnded(link, process.id)).outputTo).toBe(5_000_000)
    })

    it.runIf(real && !singleStream)(
      'of one gigabyte in one line leaves the memory flat',
      { timeout: 60_000 },
      async () => {
        await using host = new Host(await make())
        const link = await host.open()
        const { events } = await link.start(script(host.harness, "head -c 1000000000 /dev/zero | tr '\\0' x"))
        let total = 0
        let peak = 0
        const before = process.memoryUsage().rss
        for await (const event of events) {
          if (event.type === 'output') total += event.data.length
          if (total % 50 < 1) peak = Math.max(peak, process.memoryUsage().rss - before)
        }
        expect(total).toBe(1_000_000_000)
        expect(peak).toBeLessThan(192 * 1024 * 1024)
      },
    )
  })
}

async function untilEnded(link: GuestLink, id: Parameters<GuestLink['attach']>[0]) {
  const { events } = await link.attach(id, 'now')
  await collect(events)
  const info = (await link.processes()).find((process) => process.id === id)
  if (info === undefined) throw new Error('the process is forgotten')
  return info
}

/** Asks until the process has written nothing between two answers that were far apart. */
async function untilStill(link: GuestLink, id: string): Promise<number> {
  let last = -1
  for (;;) {
    const now = (await link.processes()).find((process) => process.id === id)?.outputTo ?? 0
    if (now === last) return now
    last = now
    for (let round = 0; round < 50; round += 1) await link.metrics()
  }
}
