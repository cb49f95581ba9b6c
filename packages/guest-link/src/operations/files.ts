import {
  type FileContent,
  type FileInfo,
  type FileOptions,
  type MakeDirectoryOptions,
  type ReadFileOptions,
  type RemoveOptions,
  type WriteFileOptions,
} from '@cove/domain'
import type { FieldsWriter } from '@cove/frames'
import { checkLinkTarget, checkPath, checkText, checkWhole } from '../check.ts'
import type { Session } from '../session.ts'
import { readFileEntry } from '../wire/file-entry.ts'
import {
  CHMOD,
  MAKE_DIRECTORY,
  MOVE,
  OPERATION,
  PATH,
  READ,
  REMOVE,
  SYMLINK,
  WRITE,
  type Operation,
} from '../wire/tags.ts'
import { BULK_WINDOW, decode, openCall, request, simpleCall, untilClosed } from './call.ts'
import { ContentReader } from './content-reader.ts'
import { sendContent } from './send-content.ts'

const MAX_MODE = 0o7777
const MAX_OFFSET = Number.MAX_SAFE_INTEGER

export async function readFile(
  session: Session,
  path: string,
  options: ReadFileOptions,
  signal: AbortSignal | undefined,
): Promise<FileContent> {
  const fields = fileRequest(OPERATION.read, path, options)
    .number(READ.offset, optionalWhole('offset', options.offset, MAX_OFFSET))
    .number(READ.length, optionalWhole('length', options.length, MAX_OFFSET))
  const channel = openCall(session, fields, signal, { window: BULK_WINDOW })
  const entry = await channel.opened
  const info = decode(channel, () => readFileEntry(entry))
  return { info, content: new ContentReader(channel) }
}

export async function writeFile(
  session: Session,
  path: string,
  content: AsyncIterable<Uint8Array>,
  options: WriteFileOptions,
  signal: AbortSignal | undefined,
): Promise<FileInfo> {
  const fields = fileRequest(OPERATION.write, path, options)
    .number(WRITE.mode, optionalWhole('mode', options.mode ?? 0o644, MAX_MODE))
    .truth(WRITE.parents, options.parents ?? true)
  const channel = openCall(session, fields, signal)
  // Every channel starts with credit: what is small arrives with the request, and needs one answer in place of two.
  await sendContent(channel, content, () => channel.violation('a file closed before its end'))
  await channel.opened
  const item = await channel.next()
  if (item?.kind !== 'event') throw channel.violation('a file written without an entry')
  const info = decode(channel, () => readFileEntry(item.fields))
  await untilClosed(channel)
  return info
}

export async function stat(
  session: Session,
  path: string,
  options: FileOptions,
  signal: AbortSignal | undefined,
): Promise<FileInfo> {
  const channel = openCall(session, fileRequest(OPERATION.stat, path, options), signal)
  const entry = await channel.opened
  const info = decode(channel, () => readFileEntry(entry))
  await untilClosed(channel)
  return info
}

export async function makeDirectory(
  session: Session,
  path: string,
  options: MakeDirectoryOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  const fields = fileRequest(OPERATION.makeDirectory, path, options)
    .number(MAKE_DIRECTORY.mode, optionalWhole('mode', options.mode, MAX_MODE))
    .truth(MAKE_DIRECTORY.parents, options.parents)
  await simpleCall(session, fields, signal)
}

export async function move(
  session: Session,
  from: string,
  to: string,
  options: FileOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  await simpleCall(session, fileRequest(OPERATION.move, from, options).text(MOVE.to, checkPath(to)), signal)
}

export async function remove(
  session: Session,
  path: string,
  options: RemoveOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  const fields = fileRequest(OPERATION.remove, path, options)
    .truth(REMOVE.recursive, options.recursive)
    .truth(REMOVE.force, options.force)
  await simpleCall(session, fields, signal)
}

export async function chmod(
  session: Session,
  path: string,
  mode: number,
  options: FileOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  const fields = fileRequest(OPERATION.chmod, path, options).number(CHMOD.mode, checkWhole('mode', mode, 0, MAX_MODE))
  await simpleCall(session, fields, signal)
}

export async function symlink(
  session: Session,
  target: string,
  path: string,
  options: FileOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  const fields = fileRequest(OPERATION.symlink, path, options).text(SYMLINK.target, checkLinkTarget(target))
  await simpleCall(session, fields, signal)
}

export function fileRequest(operation: Operation, path: string, options: FileOptions): FieldsWriter {
  return request(operation)
    .text(PATH.path, checkPath(path))
    .text(PATH.user, options.user === undefined ? undefined : checkText('user', options.user))
}

function optionalWhole(field: string, value: number | undefined, to: number): number | undefined {
  return value === undefined ? undefined : checkWhole(field, value, 0, to)
}
