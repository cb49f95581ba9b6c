import { CoveError, parseProcessId, type ProcessId, type ProcessInfo } from '@cove/domain'
import { FieldsWriter, FrameError, type Fields } from '@cove/frames'
import { readExit, writeExit } from './exit-fields.ts'
import { PROCESS } from './tags.ts'

export function readProcessEntry(fields: Fields): ProcessInfo {
  const exit = readExit(fields, PROCESS.exitKind, PROCESS.exitValue)
  const outputFrom = fields.needNumber(PROCESS.outputFrom)
  const outputTo = fields.needNumber(PROCESS.outputTo)
  if (outputFrom > outputTo) throw new FrameError('a process whose output ends before it begins')
  return {
    id: readProcessId(fields.needText(PROCESS.id)),
    pid: fields.needNumber(PROCESS.pid),
    // Arguments and folders are bytes to the kernel; what is not UTF-8 is shown as U+FFFD.
    argv: fields.allBytes(PROCESS.argv).map((value) => value.toString('utf8')),
    cwd: fields.needBytes(PROCESS.cwd).toString('utf8'),
    user: fields.needText(PROCESS.user),
    terminal: fields.truth(PROCESS.terminal) ?? false,
    startedAt: fields.needNumber(PROCESS.startedAt),
    outputFrom,
    outputTo,
    ...(exit === undefined ? {} : { exit }),
    timedOut: fields.truth(PROCESS.timedOut) ?? false,
  }
}

export function writeProcessEntry(info: ProcessInfo): FieldsWriter {
  const fields = new FieldsWriter()
    .text(PROCESS.id, info.id)
    .number(PROCESS.pid, info.pid)
    .texts(PROCESS.argv, info.argv)
    .text(PROCESS.cwd, info.cwd)
    .text(PROCESS.user, info.user)
    .truth(PROCESS.terminal, info.terminal)
    .number(PROCESS.startedAt, info.startedAt)
    .number(PROCESS.outputFrom, info.outputFrom)
    .number(PROCESS.outputTo, info.outputTo)
  if (info.exit !== undefined) writeExit(fields, info.exit, PROCESS.exitKind, PROCESS.exitValue)
  return fields.truth(PROCESS.timedOut, info.timedOut)
}

function readProcessId(text: string): ProcessId {
  try {
    return parseProcessId(text)
  } catch (error) {
    if (error instanceof CoveError) throw new FrameError('a process id of the wrong shape')
    throw error
  }
}
