import {
  CoveError,
  parseProcessId,
  type AttachFrom,
  type ProcessId,
  type ProcessInfo,
  type ProcessStream,
  type StartProcess,
  type StdinOptions,
  type TerminalSize,
} from '@cove/domain'
import type { FieldsWriter } from '@cove/frames'
import { checkEnv, checkPath, checkText, checkWhole, invalid } from '../check.ts'
import type { Session } from '../session.ts'
import { readProcessEntry } from '../wire/process-entry.ts'
import { ATTACH, OPERATION, RESIZE, SIGNAL, START, STDIN } from '../wire/tags.ts'
import { BULK_WINDOW, decode, openCall, request, simpleCall, untilClosed } from './call.ts'
import { ProcessEvents } from './process-events.ts'
import { sendContent } from './send-content.ts'

const MAX_ENTRIES = 8192
const MAX_LIST_BYTES = 32 * 1024 * 1024
const MAX_SIDE = 65_535
const MAX_TIME_MS = Number.MAX_SAFE_INTEGER

export async function start(
  session: Session,
  process: StartProcess,
  signal: AbortSignal | undefined,
): Promise<ProcessStream> {
  if (process.argv.length === 0 || process.argv[0] === '') throw invalid('argv', 'names no program')
  const fields = request(OPERATION.start)
    .text(START.id, parseProcessId(process.id))
    .texts(
      START.argv,
      process.argv.map((argument) => checkText('argv', argument)),
    )
    .texts(START.env, checkEnv(process.env))
    .text(START.cwd, process.cwd === undefined ? undefined : checkPath(process.cwd))
    .text(START.user, process.user === undefined ? undefined : checkText('user', process.user))
  if (process.terminal !== undefined) addSize(fields, process.terminal, START.rows, START.columns)
  fields
    .truth(START.stdin, process.stdin)
    .number(START.timeoutMs, optionalTime('timeoutMs', process.timeoutMs))
    .number(START.graceMs, optionalTime('graceMs', process.graceMs))
  return stream(session, fields, signal, 0)
}

export async function attach(
  session: Session,
  id: ProcessId,
  from: AttachFrom,
  signal: AbortSignal | undefined,
): Promise<ProcessStream> {
  const fields = request(OPERATION.attach).text(ATTACH.id, parseProcessId(id))
  if (from !== 'now') fields.number(ATTACH.from, checkWhole('from', from, 0, Number.MAX_SAFE_INTEGER))
  return stream(session, fields, signal, undefined)
}

export async function processes(session: Session, signal: AbortSignal | undefined): Promise<readonly ProcessInfo[]> {
  const channel = openCall(session, request(OPERATION.processes), signal, {
    maxEvents: MAX_ENTRIES,
    maxEventBytes: MAX_LIST_BYTES,
  })
  await channel.opened
  const entries: ProcessInfo[] = []
  for (;;) {
    const item = await channel.next()
    if (item === undefined) return entries
    if (item.kind !== 'event' || entries.length === MAX_ENTRIES) throw channel.violation('a list of something else')
    entries.push(decode(channel, () => readProcessEntry(item.fields)))
  }
}

export async function writeStdin(
  session: Session,
  id: ProcessId,
  content: AsyncIterable<Uint8Array>,
  options: StdinOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  const fields = request(OPERATION.stdin).text(STDIN.id, parseProcessId(id)).truth(STDIN.close, options.close)
  const channel = openCall(session, fields, signal)
  await channel.opened
  await sendContent(
    channel,
    content,
    () => new CoveError('wrong-state', 'the process reads its stdin no more', { process: id }),
  )
  await untilClosed(channel)
}

export async function sendSignal(
  session: Session,
  id: ProcessId,
  number: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const fields = request(OPERATION.signal)
    .text(SIGNAL.id, parseProcessId(id))
    .number(SIGNAL.number, checkWhole('signal', number, 1, 64))
  await simpleCall(session, fields, signal)
}

export async function resize(
  session: Session,
  id: ProcessId,
  size: TerminalSize,
  signal: AbortSignal | undefined,
): Promise<void> {
  const fields = request(OPERATION.resize).text(RESIZE.id, parseProcessId(id))
  addSize(fields, size, RESIZE.rows, RESIZE.columns)
  await simpleCall(session, fields, signal)
}

async function stream(
  session: Session,
  fields: FieldsWriter,
  signal: AbortSignal | undefined,
  offset: number | undefined,
): Promise<ProcessStream> {
  const channel = openCall(session, fields, signal, { window: BULK_WINDOW, maxEvents: 64 })
  const entry = await channel.opened
  const info = decode(channel, () => readProcessEntry(entry))
  return { info, events: new ProcessEvents(channel, info.terminal, offset) }
}

function addSize(fields: FieldsWriter, size: TerminalSize, rowsTag: number, columnsTag: number): void {
  fields
    .number(rowsTag, checkWhole('rows', size.rows, 1, MAX_SIDE))
    .number(columnsTag, checkWhole('columns', size.columns, 1, MAX_SIDE))
}

function optionalTime(field: string, value: number | undefined): number | undefined {
  return value === undefined ? undefined : checkWhole(field, value, 0, MAX_TIME_MS)
}
