import { CoveError, parseProcessId, type ProcessId } from '@cove/domain'
import { FieldsWriter, type Fields } from '@cove/frames'
import { writeExit } from '../wire/exit-fields.ts'
import { writeProcessEntry } from '../wire/process-entry.ts'
import {
  ATTACH,
  CONFIGURE,
  METRICS,
  OPERATION,
  OUTPUT_EVENT,
  OUTPUT_EVENT_KIND,
  QUIESCE,
  RESIZE,
  SHUTDOWN,
  SIGNAL,
  START,
  STDIN,
} from '../wire/tags.ts'
import type { FakeChannel } from './fake-channel.ts'
import { fakeDial } from './fake-dial.ts'
import { FAKE_FILE_OPERATIONS } from './fake-file-operations.ts'
import type { FakeGuest } from './fake-guest.ts'
import { FakeProcess, type Program } from './fake-process.ts'
import type { FakeUser } from './fake-files.ts'
import { fakeUser } from './fake-user.ts'

export type FakeOperation = (guest: FakeGuest, channel: FakeChannel, request: Fields) => Promise<void>

const DEFAULT_GRACE_MS = 2000

/** What the fake agent does for each operation. One that throws closes its channel with the error. */
export const FAKE_OPERATIONS: Readonly<Record<number, FakeOperation>> = {
  ...FAKE_FILE_OPERATIONS,
  [OPERATION.dial]: fakeDial,

  [OPERATION.start]: async (guest, channel, request) => {
    const id = parseProcessId(request.needText(START.id))
    if (guest.quiet) throw new CoveError('busy', 'the guest is quiet')
    if (guest.processes.has(id)) throw new CoveError('already-exists', 'a process with this id exists')
    const argv = request.allTexts(START.argv)
    const user = fakeUser(request.text(START.user), guest.user)
    const env = { ...userEnv(user), ...guest.env, ...readEnv(request.allTexts(START.env)) }
    const rows = request.number(START.rows)
    const columns = request.number(START.columns)
    const cwd = request.text(START.cwd) ?? guest.workdir ?? user.home
    if (guest.files.lookup(Buffer.from(cwd).toString('latin1'), user, true).type !== 'directory') {
      throw new CoveError('not-a-directory', 'the working directory is no directory', { errno: 20 })
    }
    const process = new FakeProcess(
      {
        id,
        pid: guest.nextPid,
        argv,
        env,
        cwd,
        user,
        terminal: rows === undefined || columns === undefined ? undefined : { rows, columns },
        stdin: request.truth(START.stdin) ?? false,
        timeoutMs: request.number(START.timeoutMs) ?? 0,
        graceMs: request.number(START.graceMs) ?? DEFAULT_GRACE_MS,
        clock: guest.clock,
        files: guest.files,
      },
      findProgram(guest, argv[0] ?? ''),
    )
    guest.nextPid += 1
    guest.processes.set(id, process)
    await follow(channel, process, 0)
  },

  [OPERATION.attach]: async (guest, channel, request) => {
    const process = findProcess(guest, request, ATTACH.id)
    await follow(channel, process, request.number(ATTACH.from))
  },

  [OPERATION.processes]: (guest, channel) => {
    channel.opened()
    for (const process of guest.processes.values()) channel.event(writeProcessEntry(process.info()))
    return Promise.resolve()
  },

  [OPERATION.stdin]: async (guest, channel, request) => {
    const process = findProcess(guest, request, STDIN.id)
    if (process.exit !== undefined) throw new CoveError('wrong-state', 'the process has ended')
    channel.opened()
    for (;;) {
      const bytes = await channel.next()
      if (bytes === undefined) break
      await process.feed(bytes)
    }
    if (request.truth(STDIN.close) === true) process.closeInput()
  },

  [OPERATION.signal]: (guest, channel, request) => {
    const number = request.needNumber(SIGNAL.number)
    if (number < 1 || number > 64) throw new CoveError('invalid-argument', 'no such signal')
    findProcess(guest, request, SIGNAL.id).signal(number)
    channel.opened()
    return Promise.resolve()
  },

  [OPERATION.resize]: (guest, channel, request) => {
    const size = { rows: request.needNumber(RESIZE.rows), columns: request.needNumber(RESIZE.columns) }
    findProcess(guest, request, RESIZE.id).resize(size)
    channel.opened()
    return Promise.resolve()
  },

  [OPERATION.metrics]: (guest, channel) => {
    const running = [...guest.processes.values()].filter((process) => process.exit === undefined)
    channel.opened(
      new FieldsWriter()
        .number(METRICS.at, guest.clock.now())
        .text(METRICS.agentVersion, guest.agentVersion)
        .number(METRICS.uptimeMs, Math.max(0, Math.floor(guest.clock.monotonic() - guest.startedAt)))
        .number(METRICS.processes, running.length)
        .number(METRICS.memoryTotal, 1024 ** 3)
        .number(METRICS.memoryUsed, 64 * 1024 ** 2)
        .number(METRICS.diskTotal, 10 * 1024 ** 3)
        .number(METRICS.diskUsed, 1024 ** 2)
        .number(METRICS.load1, 250),
    )
    return Promise.resolve()
  },

  [OPERATION.configure]: (guest, channel, request) => {
    guest.hostname = request.needText(CONFIGURE.hostname)
    guest.env = readEnv(request.allTexts(CONFIGURE.env))
    const token = request.bytes(CONFIGURE.token)
    if (token !== undefined) guest.rebind(token)
    guest.user = request.text(CONFIGURE.user)
    guest.workdir = request.text(CONFIGURE.workdir)
    const answer = new FieldsWriter()
    for (const tag of [CONFIGURE.token, CONFIGURE.user, CONFIGURE.workdir]) {
      if (request.bytes(tag) !== undefined) answer.truth(tag, true)
    }
    channel.opened(answer)
    return Promise.resolve()
  },

  [OPERATION.quiesce]: (guest, channel, request) => {
    guest.quiet = request.truth(QUIESCE.on) ?? false
    channel.opened()
    return Promise.resolve()
  },

  [OPERATION.shutdown]: async (guest, channel, request) => {
    channel.opened()
    const running = [...guest.processes.values()].filter((process) => process.exit === undefined)
    for (const process of running) process.signal(15)
    const ended = Promise.all(running.map((process) => process.ended))
    const grace = new AbortController()
    const waited = guest.clock.sleep(request.number(SHUTDOWN.graceMs) ?? DEFAULT_GRACE_MS, grace.signal)
    await Promise.race([ended, waited])
    grace.abort()
    await waited.catch(() => {})
    guest.stop()
  },
}

/** Sends a process's output from `from` on, or from now, and its exit. */
async function follow(channel: FakeChannel, process: FakeProcess, from: number | undefined): Promise<void> {
  const { ring } = process
  channel.opened(writeProcessEntry(process.info()))
  // Beyond the last byte is the last byte.
  const wanted = Math.min(from ?? ring.to, ring.to)
  const begin = Math.max(wanted, ring.from)
  const reader = ring.attach(begin)
  try {
    if (begin > wanted)
      channel.event(outputEvent(OUTPUT_EVENT_KIND.gap).number(OUTPUT_EVENT.from, wanted).number(OUTPUT_EVENT.to, begin))
    channel.event(outputEvent(OUTPUT_EVENT_KIND.position).number(OUTPUT_EVENT.offset, begin))
    for (;;) {
      const piece = await ring.read(reader, channel.signal)
      if (piece === undefined) break
      await channel.send(piece.stream, piece.data)
      ring.advance(reader, piece.data.length)
    }
  } finally {
    ring.detach(reader)
  }
  if (process.exit === undefined) return
  const event = outputEvent(OUTPUT_EVENT_KIND.exit)
  writeExit(event, process.exit, OUTPUT_EVENT.exitKind, OUTPUT_EVENT.exitValue)
  channel.event(event.truth(OUTPUT_EVENT.timedOut, process.timedOut))
}

function outputEvent(kind: number): FieldsWriter {
  return new FieldsWriter().number(OUTPUT_EVENT.kind, kind)
}

function findProcess(guest: FakeGuest, request: Fields, tag: number): FakeProcess {
  const id: ProcessId = parseProcessId(request.needText(tag))
  const process = guest.processes.get(id)
  if (process === undefined) throw new CoveError('process-not-found', 'no such process')
  return process
}

function findProgram(guest: FakeGuest, path: string): Program {
  const name = path.replace(/^\/(usr\/)?bin\//, '')
  const program = Object.hasOwn(guest.programs, name) ? guest.programs[name] : undefined
  if (program === undefined) throw new CoveError('command-not-found', `no program ${path}`, { errno: 2 })
  return program
}

function userEnv(user: FakeUser): Record<string, string> {
  const { name, home } = user
  return { PATH: '/usr/bin:/bin', HOME: home, USER: name, LOGNAME: name, SHELL: '/bin/sh', LANG: 'C.UTF-8' }
}

function readEnv(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const equals = line.indexOf('=')
      return [line.slice(0, equals), line.slice(equals + 1)]
    }),
  )
}
