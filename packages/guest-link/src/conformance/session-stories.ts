import { describe, expect, it } from 'vitest'
import { encodeFrame, encodePreamble, Fields, FRAME } from '@cove/frames'
import { systemRandom } from '@cove/domain/system'
import { OPERATION, PATH, START, WELCOME, WRITE } from '../wire/tags.ts'
import { chunks, collect, command, Host, run, script, type GuestHarness, type Traits } from './harness.ts'
import { RawHost } from './raw-host.ts'

/** Greetings, takeovers, broken rules and drops. */
export function sessionStories(make: () => Promise<GuestHarness>, { singleStream }: Traits): void {
  describe('a session', () => {
    it('begins with a welcome that says who the agent is', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      expect(link.agentVersion).toMatch(/^\S+$/)
      expect(link.instance).toMatch(/^[0-9a-f]{32}$/)
    })

    it('is refused with another token than the first, and the first still works', async () => {
      await using host = new Host(await make())
      const first = await host.open()
      await first.close()
      await expect(host.open({ token: systemRandom.bytes(32) })).rejects.toMatchObject({ code: 'unauthenticated' })
      const again = await host.open()
      expect(again.instance).toBe(first.instance)
    })

    it('goes on with the token that the guest was given, and the first is refused then', async () => {
      await using host = new Host(await make())
      const first = await host.open()
      const token = systemRandom.bytes(32)
      await first.configure({ hostname: 'cove', env: {}, entropy: Buffer.alloc(32), clock: Date.now(), token })
      const { instance } = first
      // Dropped: the link comes again by itself, as whom the guest knows now.
      host.streams.at(-1)?.destroy()
      await first.processes()
      await first.close()
      await expect(host.open()).rejects.toMatchObject({ code: 'unauthenticated' })
      expect((await host.open({ token })).instance).toBe(instance)
    })

    it('is refused with an epoch that is not above the last', async () => {
      await using host = new Host(await make())
      await host.open({ epoch: 7 })
      await expect(host.open({ epoch: 7 })).rejects.toMatchObject({ code: 'stale-session' })
      await expect(host.open({ epoch: 6 })).rejects.toMatchObject({ code: 'stale-session' })
      await host.open({ epoch: 8 })
    })

    it('speaks the newest version that both sides know', async () => {
      await using host = new Host(await make())
      const raw = new RawHost(await host.connect())
      raw.hello({ epoch: 1, token: host.token, newest: 2, oldest: 1 })
      const welcome = new Fields((await raw.until(FRAME.welcome, 0)).payload)
      expect(welcome.number(WELCOME.version)).toBe(1)
      expect(welcome.number(WELCOME.maxPayload)).toBe(262_144)
    })

    it('is refused when there is no such version', async () => {
      await using host = new Host(await make())
      const raw = new RawHost(await host.connect())
      raw.hello({ epoch: 1, token: host.token, newest: 99, oldest: 98 })
      expect(await raw.closeCode(0)).toBe('unsupported')
    })

    it('answers a ping with the same bytes', async () => {
      await using host = new Host(await make())
      const raw = new RawHost(await host.connect())
      raw.hello({ epoch: 1, token: host.token })
      raw.send(FRAME.ping, 0, Buffer.from('are you there'))
      expect((await raw.until(FRAME.pong, 0)).payload.toString()).toBe('are you there')
    })

    it('takes operations right behind the greeting', async () => {
      await using host = new Host(await make())
      const raw = new RawHost(await host.connect())
      raw.stream.cork()
      raw.hello({ epoch: 1, token: host.token })
      raw.open(1, OPERATION.metrics)
      raw.stream.uncork()
      await raw.until(FRAME.welcome, 0)
      await raw.until(FRAME.opened, 1)
      expect(await raw.closeCode(1)).toBeUndefined()
    })

    it('refuses an operation that it does not know, and goes on', async () => {
      await using host = new Host(await make())
      const raw = new RawHost(await host.connect())
      raw.hello({ epoch: 1, token: host.token })
      raw.open(1, 999)
      expect(await raw.closeCode(1)).toBe('unsupported')
      raw.open(2, OPERATION.metrics)
      expect(await raw.closeCode(2)).toBeUndefined()
    })

    it('refuses requests that are no fields, miss some or carry the wrong type, and goes on', async () => {
      await using host = new Host(await make())
      const raw = new RawHost(await host.connect())
      raw.hello({ epoch: 1, token: host.token })
      raw.open(1, OPERATION.stat, (fields) => fields.text(PATH.user, host.harness.owner))
      expect(await raw.closeCode(1)).toMatch(/^(invalid-argument|path-invalid)$/)
      raw.open(2, OPERATION.start, (fields) =>
        fields.text(START.id, 'a').text(START.argv, 'true').text(START.timeoutMs, 'x'),
      )
      expect(await raw.closeCode(2)).toBe('invalid-argument')
      raw.open(3, OPERATION.start, (fields) => fields.text(START.id, 'a').bytes(START.user, Buffer.from([255])))
      expect(await raw.closeCode(3)).toBe('invalid-argument')
      raw.open(4, OPERATION.stat, (fields) => fields.bytes(PATH.path, Buffer.from('/a\0b')))
      expect(await raw.closeCode(4)).toBe('path-invalid')
      raw.open(5, OPERATION.stat, (fields) => fields.text(PATH.path, `/${'x'.repeat(10_000)}`))
      expect(await raw.closeCode(5)).toBe('path-invalid')
      raw.open(6, OPERATION.stat, (fields) => fields.text(PATH.path, 'relative'))
      expect(await raw.closeCode(6)).toBe('path-invalid')
      raw.open(7, OPERATION.metrics)
      expect(await raw.closeCode(7)).toBeUndefined()
    })

    it('ignores frames for channels that are closed or unknown', async () => {
      await using host = new Host(await make())
      const raw = new RawHost(await host.connect())
      raw.hello({ epoch: 1, token: host.token })
      raw.send(FRAME.close, 77)
      raw.send(FRAME.end, 78)
      raw.send(FRAME.data, 79, Buffer.alloc(100))
      raw.open(80, OPERATION.metrics)
      expect(await raw.closeCode(80)).toBeUndefined()
    })

    it('refuses the 1,025th channel only', async () => {
      await using host = new Host(await make())
      const raw = new RawHost(await host.connect())
      raw.hello({ epoch: 1, token: host.token })
      for (let channel = 1; channel <= 1025; channel += 1) {
        raw.open(channel, OPERATION.write, (fields) =>
          fields
            .text(PATH.path, `${host.harness.folder}/never-${channel}`)
            .truth(WRITE.parents, false)
            .text(PATH.user, host.harness.owner),
        )
      }
      expect(await raw.closeCode(1025)).toBe('limit-reached')
      raw.send(FRAME.close, 1)
      expect(await raw.closeCode(1)).toBeUndefined()
      raw.open(1026, OPERATION.metrics)
      expect(await raw.closeCode(1026)).toBeUndefined()
    })

    it.each([
      ['a frame longer than the limit', Buffer.from('000400010300000000000001', 'hex')],
      ['a frame of an unknown type', Buffer.from('00000000fe00000000000001', 'hex')],
      ['a reserved bit', Buffer.from('000000000900000100000001', 'hex')],
      ['a frame that only a guest sends', encodeFrame(FRAME.opened, 1)],
      ['noise', Buffer.alloc(4096, 0xa5)],
    ])('ends at %s, and the next one works', async (_name, bytes) => {
      await using host = new Host(await make())
      const raw = new RawHost(await host.connect())
      raw.hello({ epoch: host.nextEpoch(), token: host.token })
      await raw.until(FRAME.welcome, 0)
      raw.stream.write(bytes)
      if (!singleStream) await raw.ended()
      const link = await host.open()
      expect((await run(link, command(host.harness, ['true']))).exit?.exit).toEqual({ kind: 'exited', code: 0 })
    })

    it('ends when the host sends beyond its credit', async () => {
      await using host = new Host(await make())
      const raw = new RawHost(await host.connect())
      raw.hello({ epoch: host.nextEpoch(), token: host.token })
      const { id } = await parked(host, raw)
      raw.open(2, OPERATION.stdin, (fields) => fields.text(2, id))
      await raw.until(FRAME.opened, 2)
      for (let sent = 0; sent < 2 ** 20 && !raw.stream.destroyed; sent += 2 ** 18)
        raw.send(FRAME.data, 2, Buffer.alloc(2 ** 18))
      if (!singleStream) await raw.ended()
      const link = await host.open()
      expect((await link.processes()).map((process) => process.id)).toEqual([id])
    })

    it('leaves processes to the newer one', async () => {
      await using host = new Host(await make())
      const older = await host.open()
      const { info } = await older.start(script(host.harness, 'read x; echo $x; cat', { stdin: true }))
      const newer = await host.open()
      const attached = await newer.attach(info.id, 0)
      await newer.writeStdin(info.id, chunks('still here\n'), { close: true })
      expect((await collect(attached.events)).stdout.toString()).toBe('still here\n')
    })

    it.skipIf(singleStream)('ends when a newer one begins, and does not come back', async () => {
      await using host = new Host(await make())
      const older = await host.open()
      const { events } = await older.start(command(host.harness, ['sleep', '60']))
      const reading = collect(events)
      reading.catch(() => {})
      const newer = await host.open()
      await expect(reading).rejects.toMatchObject({ code: 'stale-session' })
      await expect(older.metrics()).rejects.toMatchObject({ code: 'stale-session' })
      await expect(older.closed).resolves.toMatchObject({ code: 'stale-session' })
      expect(await newer.processes()).toHaveLength(1)
    })

    it('comes back by itself after a drop, and what ran fails with guest-unreachable', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { info, events } = await link.start(
        script(host.harness, 'echo before; read x; echo $x; cat', { stdin: true }),
      )
      const iterator = events[Symbol.asyncIterator]()
      await iterator.next()
      const pending = iterator.next()
      host.streams.at(-1)?.destroy()
      await expect(pending).rejects.toMatchObject({ code: 'guest-unreachable' })
      const attached = await link.attach(info.id, 0)
      await link.writeStdin(info.id, chunks('after\n'), { close: true })
      expect((await collect(attached.events)).stdout.toString()).toBe('before\nafter\n')
    })

    it('is greeted anew after the host was cut off in the middle of a frame', async () => {
      await using host = new Host(await make())
      const cut = new RawHost(await host.connect())
      cut.hello({ epoch: host.nextEpoch(), token: host.token })
      await cut.until(FRAME.welcome, 0)
      cut.open(1, OPERATION.write, (fields) =>
        fields.text(PATH.path, `${host.harness.folder}/cut`).text(PATH.user, host.harness.owner),
      )
      await cut.until(FRAME.opened, 1)
      const frame = encodeFrame(FRAME.data, 1, Buffer.alloc(60_000, 0xff))
      cut.stream.write(frame.subarray(0, 30_000))
      if (!singleStream) cut.stream.destroy()
      const link = await host.open()
      await expect(link.stat(`${host.harness.folder}/cut`, { user: host.harness.owner })).rejects.toMatchObject({
        code: 'file-not-found',
      })
      expect((await run(link, command(host.harness, ['echo', 'clear']))).stdout.toString()).toBe('clear\n')
    })

    it('keeps content that looks like a preamble apart from one', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const nasty = Buffer.concat([
        Buffer.from('a'),
        encodePreamble(Buffer.alloc(16, 7)),
        Buffer.alloc(50, 0xff),
        Buffer.from('COVESYNC'),
      ])
      const path = `${host.harness.folder}/nasty`
      await link.writeFile(path, chunks(nasty, nasty), { user: host.harness.owner })
      const { info, events } = await link.start(command(host.harness, ['cat', path]))
      expect((await collect(events)).stdout).toEqual(Buffer.concat([nasty, nasty]))
      expect(info.argv).toEqual(['cat', path])
    })
  })
}

/** A process that waits for its stdin, started by a raw host on channel 1. */
async function parked(host: Host, raw: RawHost): Promise<{ id: ReturnType<typeof command>['id'] }> {
  const { id, argv } = script(host.harness, 'sleep 60')
  raw.open(1, OPERATION.start, (fields) =>
    fields
      .text(START.id, id)
      .texts(START.argv, argv)
      .text(START.env, 'PATH=/usr/bin:/bin')
      .text(START.cwd, '/')
      .text(START.user, host.harness.owner)
      .truth(START.stdin, true),
  )
  await raw.until(FRAME.opened, 1)
  return { id }
}
