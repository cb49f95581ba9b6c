import { describe, expect, it } from 'vitest'
import { newProcessId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { encodeDataHeader, encodeFrame, FieldsWriter, FRAME } from '@cove/frames'
import { chunks, collect, gather, readAll } from './conformance/harness.ts'
import type { GuestLink } from './guest-link.ts'
import { openGuestLink } from './open-guest-link.ts'
import { HostileGuest, type HostileOptions } from './testing/hostile-guest.ts'
import { writeFileEntry } from './wire/file-entry.ts'
import { writeProcessEntry } from './wire/process-entry.ts'
import { EXIT_KIND, FILE, OUTPUT_EVENT, OUTPUT_EVENT_KIND, PROCESS, WATCH_EVENT, WELCOME } from './wire/tags.ts'

const BROKEN = { code: 'guest-protocol' }
const PROCESS_INFO = {
  id: newProcessId(systemRandom),
  pid: 2,
  argv: ['x'],
  cwd: '/',
  user: 'user',
  terminal: false,
  startedAt: 0,
  outputFrom: 0,
  outputTo: 0,
  timedOut: false,
}
const FILE_INFO = { name: 'x', path: '/x', type: 'file', size: 1, mode: 0o644, uid: 0, gid: 0, modifiedAt: 0 } as const

function open(options: HostileOptions): Promise<GuestLink> {
  return openTo(new HostileGuest(options))
}

function openTo(guest: HostileGuest): Promise<GuestLink> {
  let epoch = 0
  return openGuestLink({
    connect: () => guest.connect(),
    token: new Uint8Array(32),
    nextEpoch: () => (epoch += 1),
    random: systemRandom,
  })
}

/** A link whose guest answers `start` and `attach` with a process entry and then does this. */
function openProcess(then: (guest: HostileGuest, channel: number) => void): Promise<GuestLink> {
  return open({
    onOpen(guest, channel) {
      guest.send(FRAME.opened, channel, writeProcessEntry(PROCESS_INFO))
      then(guest, channel)
    },
  })
}

async function start(link: GuestLink): Promise<void> {
  const { events } = await link.start({ id: newProcessId(systemRandom), argv: ['x'], env: {} })
  await collect(events)
}

function exitEvent(kind: number, value?: number): FieldsWriter {
  return new FieldsWriter()
    .number(OUTPUT_EVENT.kind, OUTPUT_EVENT_KIND.exit)
    .number(OUTPUT_EVENT.exitKind, kind)
    .number(OUTPUT_EVENT.exitValue, value)
}

describe('a guest that greets wrongly is given up', () => {
  it.each<[string, (guest: HostileGuest) => void]>([
    ['noise', (guest) => guest.raw(Buffer.alloc(100, 0xaa))],
    ['another frame', (guest) => guest.send(FRAME.opened, 1)],
    ['content', (guest) => guest.send(FRAME.data, 1, Buffer.from('x'))],
    ['an empty welcome', (guest) => guest.send(FRAME.welcome, 0)],
    ['a version that was not offered', (guest) => guest.welcome((fields) => fields.number(WELCOME.version, 9))],
    ['an instance of 3 bytes', (guest) => guest.welcome((fields) => fields.bytes(WELCOME.instance, Buffer.alloc(3)))],
    [
      'a version that is no text',
      (guest) => guest.welcome((fields) => fields.bytes(WELCOME.agentVersion, Buffer.from([255]))),
    ],
    [
      'a version of control characters',
      (guest) => guest.welcome((fields) => fields.text(WELCOME.agentVersion, '\u001b[2J')),
    ],
    ['a largest payload of nothing', (guest) => guest.welcome((fields) => fields.number(WELCOME.maxPayload, 0))],
    ['a welcome that is cut off', (guest) => guest.send(FRAME.welcome, 0, Buffer.from([1, 0, 0, 0, 8, 0]))],
  ])('%s', async (_name, greet) => {
    await expect(open({ greet })).rejects.toMatchObject(BROKEN)
  })

  it('with another preamble', async () => {
    const guest = new HostileGuest()
    const connect = async () => {
      const stream = await guest.connect()
      guest.raw(Buffer.alloc(40, 0xff))
      return stream
    }
    const opened = openGuestLink({ connect, token: new Uint8Array(32), nextEpoch: () => 1, random: systemRandom })
    await expect(opened).rejects.toMatchObject(BROKEN)
  })
})

describe('a guest that breaks a rule loses its session, and the next call has a new one', () => {
  it.each<[string, (guest: HostileGuest, channel: number) => void]>([
    ['an answer to nothing', (guest) => guest.send(FRAME.opened, 77)],
    ['a second answer', (guest, channel) => guest.send(FRAME.opened, channel, writeProcessEntry(PROCESS_INFO))],
    ['a frame that only a host sends', (guest) => guest.send(FRAME.open, 1)],
    ['a frame of an unknown type', (guest) => guest.raw(Buffer.from('00000000aa00000000000001', 'hex'))],
    ['a frame that is too long', (guest) => guest.raw(Buffer.from('00040001050100000000000100', 'hex'))],
    ['output on the stream of a terminal', (guest, channel) => guest.send(FRAME.data, channel, Buffer.from('x'), 3)],
    ['output on stdin', (guest, channel) => guest.send(FRAME.data, channel, Buffer.from('x'), 0)],
    ['an event that is no fields', (guest, channel) => guest.send(FRAME.event, channel, Buffer.from([1, 2, 3]))],
    ['an event without a kind', (guest, channel) => guest.send(FRAME.event, channel)],
    ['an exit of an unknown kind', (guest, channel) => guest.send(FRAME.event, channel, exitEvent(9, 0))],
    ['an exit without its code', (guest, channel) => guest.send(FRAME.event, channel, exitEvent(EXIT_KIND.exited))],
    ['an exit code of 256', (guest, channel) => guest.send(FRAME.event, channel, exitEvent(EXIT_KIND.exited, 256))],
    ['a signal of 0', (guest, channel) => guest.send(FRAME.event, channel, exitEvent(EXIT_KIND.signaled, 0))],
    ['the end without an exit', (guest, channel) => guest.send(FRAME.close, channel)],
    [
      'two exits',
      (guest, channel) => {
        guest.send(FRAME.event, channel, exitEvent(EXIT_KIND.exited, 0))
        guest.send(FRAME.event, channel, exitEvent(EXIT_KIND.exited, 0))
      },
    ],
    [
      'a gap that ends before it begins',
      (guest, channel) =>
        guest.send(
          FRAME.event,
          channel,
          new FieldsWriter()
            .number(OUTPUT_EVENT.kind, OUTPUT_EVENT_KIND.gap)
            .number(OUTPUT_EVENT.from, 9)
            .number(OUTPUT_EVENT.to, 8),
        ),
    ],
    [
      'offsets that no number can hold',
      (guest, channel) => {
        const position = new FieldsWriter().number(OUTPUT_EVENT.kind, OUTPUT_EVENT_KIND.position)
        guest.send(FRAME.event, channel, position.number(OUTPUT_EVENT.offset, Number.MAX_SAFE_INTEGER))
        guest.send(FRAME.data, channel, Buffer.from('x'), 1)
      },
    ],
    [
      'output beyond the credit',
      (guest, channel) => {
        for (let sent = 0; sent < 64; sent += 1) guest.send(FRAME.data, channel, Buffer.alloc(65_536), 1)
      },
    ],
    [
      'a flood of events',
      (guest, channel) => {
        const event = encodeFrame(FRAME.event, channel, new FieldsWriter().number(OUTPUT_EVENT.kind, 99).finish())
        guest.raw(Buffer.concat(Array.from({ length: 1000 }, () => event)))
      },
    ],
    [
      'a flood of ends',
      (guest, channel) => {
        guest.raw(Buffer.concat(Array.from({ length: 1000 }, () => encodeFrame(FRAME.end, channel, undefined, 1))))
      },
    ],
  ])('%s', async (_name, then) => {
    await using link = await openProcess(then)
    await expect(start(link)).rejects.toMatchObject(BROKEN)
    // The guest has not changed its mind, but it was asked again.
    await expect(start(link)).rejects.toMatchObject(BROKEN)
  })

  it.each([
    ['no id', new FieldsWriter().number(PROCESS.pid, 1)],
    ['an id with a slash', writeProcessEntry(PROCESS_INFO).text(PROCESS.id, '../x')],
    ['a user that is no text', writeProcessEntry(PROCESS_INFO).bytes(PROCESS.user, Buffer.from([255]))],
    ['a pid of 4 bytes', writeProcessEntry(PROCESS_INFO).bytes(PROCESS.pid, Buffer.alloc(4))],
    ['a time beyond all times', writeProcessEntry(PROCESS_INFO).bytes(PROCESS.startedAt, Buffer.alloc(8, 255))],
    ['output that ends before it begins', writeProcessEntry(PROCESS_INFO).number(PROCESS.outputFrom, 5)],
    ['a terminal that is maybe one', writeProcessEntry(PROCESS_INFO).number(PROCESS.terminal, 2)],
  ])('a process with %s', async (_name, entry) => {
    await using link = await open({ onOpen: (guest, channel) => guest.send(FRAME.opened, channel, entry) })
    await expect(start(link)).rejects.toMatchObject(BROKEN)
  })

  it.each([
    ['no path', new FieldsWriter().number(FILE.size, 1)],
    ['a path with a NUL', writeFileEntry({ ...FILE_INFO, path: '/a\0b' })],
    ['a path of 5,000 bytes', writeFileEntry({ ...FILE_INFO, path: `/${'x'.repeat(5000)}` })],
    ['a link to 5,000 bytes', writeFileEntry({ ...FILE_INFO, symlinkTarget: 'x'.repeat(5000) })],
    ['an unknown type', writeFileEntry(FILE_INFO).number(FILE.type, 5)],
  ])('a file with %s', async (_name, entry) => {
    await using link = await open({ onOpen: (guest, channel) => guest.send(FRAME.opened, channel, entry) })
    await expect(link.stat('/x')).rejects.toMatchObject(BROKEN)
  })

  it('output of an attached process without a position', async () => {
    await using link = await openProcess((guest, channel) => guest.send(FRAME.data, channel, Buffer.from('x'), 1))
    const { events } = await link.attach(PROCESS_INFO.id, 0)
    await expect(collect(events)).rejects.toMatchObject(BROKEN)
  })

  it('more credit than a channel may have', async () => {
    await using link = await open({
      onOpen(guest, channel) {
        guest.send(FRAME.opened, channel)
        for (let count = 0; count < 3; count += 1) guest.send(FRAME.credit, channel, Buffer.from('7fffffff', 'hex'))
      },
    })
    await expect(link.writeFile('/x', chunks('x'))).rejects.toMatchObject(BROKEN)
  })

  it('content before the answer', async () => {
    await using link = await open({ onOpen: (guest, channel) => guest.send(FRAME.data, channel, Buffer.from('x')) })
    await expect(link.readFile('/x')).rejects.toMatchObject(BROKEN)
  })

  it('a file that is closed before its end', async () => {
    await using link = await open({
      onOpen(guest, channel) {
        guest.send(FRAME.opened, channel, writeFileEntry(FILE_INFO))
        guest.send(FRAME.data, channel, Buffer.from('x'))
        guest.send(FRAME.close, channel)
      },
    })
    const { content } = await link.readFile('/x')
    await expect(readAll(content)).rejects.toMatchObject(BROKEN)
  })

  it('a file that was written before its end', async () => {
    await using link = await open({
      onOpen(guest, channel) {
        guest.send(FRAME.opened, channel)
        guest.send(FRAME.close, channel)
      },
    })
    await expect(link.writeFile('/x', chunks('x'))).rejects.toMatchObject(BROKEN)
  })

  it.each([
    ['an entry that is too long', Buffer.from('00ffffff', 'hex')],
    ['an entry that is cut off', Buffer.from('0000000801000000', 'hex')],
    ['an entry that is no fields', Buffer.from('00000003010203', 'hex')],
  ])('a listing with %s', async (_name, bytes) => {
    await using link = await open({
      onOpen(guest, channel) {
        guest.send(FRAME.opened, channel)
        guest.send(FRAME.data, channel, bytes)
        guest.send(FRAME.end, channel)
        guest.send(FRAME.close, channel)
      },
    })
    await expect(gather(link.list('/'))).rejects.toMatchObject(BROKEN)
  })

  it('a list of processes without an end', async () => {
    const entry = writeProcessEntry(PROCESS_INFO).finish()
    await using link = await open({
      onOpen(guest, channel) {
        guest.send(FRAME.opened, channel)
        const frame = encodeFrame(FRAME.event, channel, entry)
        for (let count = 0; count < 9000; count += 1) guest.raw(frame)
      },
    })
    await expect(link.processes()).rejects.toMatchObject(BROKEN)
  })

  it('a simple answer with more behind it', async () => {
    await using link = await open({
      onOpen(guest, channel) {
        guest.send(FRAME.opened, channel)
        guest.send(FRAME.event, channel)
      },
    })
    await expect(link.remove('/x')).rejects.toMatchObject(BROKEN)
  })
})

describe('a guest that goes too far is held off', () => {
  it('with a flood of watch events: the reader is told that it missed some', async () => {
    const event = encodeFrame(
      FRAME.event,
      1,
      new FieldsWriter().number(WATCH_EVENT.kind, 1).text(WATCH_EVENT.path, 'x'.repeat(100)).finish(),
    )
    await using link = await open({
      onOpen(guest, channel) {
        guest.send(FRAME.opened, channel)
        const many = Buffer.concat(Array.from({ length: 100 }, () => event))
        for (let count = 0; count < 500; count += 1) guest.raw(many)
        guest.send(FRAME.close, channel)
      },
    })
    const events = await gather(await link.watch('/'))
    expect(events.length).toBeLessThan(20_000)
    expect(events).toContainEqual({ type: 'overflow' })
  })

  it('with pings while it reads nothing: the session ends', async () => {
    const guest = new HostileGuest()
    await using link = await openTo(guest)
    const waiting = link.metrics()
    waiting.catch(() => {})
    guest.stopReading()
    const pings = Buffer.concat(Array.from({ length: 1000 }, () => encodeFrame(FRAME.ping, 0, Buffer.alloc(64))))
    for (let count = 0; count < 200; count += 1) {
      guest.raw(pings)
      await new Promise(setImmediate)
    }
    await expect(waiting).rejects.toMatchObject(BROKEN)
  })

  it('with operations that it never answers: no more than 1,024 wait', async () => {
    await using link = await open({})
    const caller = new AbortController()
    const waiting = Array.from({ length: 1024 }, () => link.metrics(caller.signal))
    await expect(link.metrics()).rejects.toMatchObject({ code: 'limit-reached' })
    caller.abort()
    const settled = await Promise.allSettled(waiting)
    expect(settled.every((result) => result.status === 'rejected')).toBe(true)
    // Closed by the host, and not yet by the guest: they still count.
    await expect(link.metrics()).rejects.toMatchObject({ code: 'limit-reached' })
  })

  it('with an error that is no error of ours, in words that are none', async () => {
    await using link = await open({
      onOpen: (guest, channel) =>
        guest.send(
          FRAME.close,
          channel,
          new FieldsWriter().text(1, 'root-password').text(2, `\u001b[2J${'x'.repeat(5000)}\n`),
        ),
    })
    const failure: unknown = await link.metrics().catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'internal' })
    const message = failure instanceof Error ? failure.message : ''
    expect(message.length).toBeLessThan(1200)
    expect(message).not.toMatch(/\p{Cc}/u)
  })

  it('when it stops in the middle of a frame: guest-unreachable', async () => {
    await using link = await openProcess((guest, channel) => {
      guest.raw(encodeDataHeader(channel, 1, 1000))
      guest.raw(Buffer.alloc(10))
      guest.drop()
    })
    await expect(start(link)).rejects.toMatchObject({ code: 'guest-unreachable' })
  })
})
