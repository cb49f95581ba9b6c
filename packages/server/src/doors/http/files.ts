import { toJsonString, create } from '@bufbuild/protobuf'
import { FileInfoSchema } from '@cove/api'
import { CoveError, type FileContent, type FileInfo, type Guest } from '@cove/domain'
import type { Principal } from '../../auth/principal.ts'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
import { checkMode, checkPath, userOption } from '../connect/from-wire.ts'
import { toFileInfo } from '../connect/to-wire.ts'
import { clientSignal, drained, type Exchange } from '../exchange.ts'
import { StatusError } from '../json-error.ts'
import type { Query } from './query.ts'
import { parseRange, type Part } from './range.ts'
import { uploadBody } from './upload-body.ts'

interface FileRequest {
  readonly sandboxes: Sandboxes
  readonly caller: Principal
  readonly sandbox: string
  readonly query: Query
  readonly stalledMs: number
  /** Called when the file has been written, before that is answered. */
  readonly onWritten?: () => void
}

/** Streams a file out, whole or in part. HEAD answers with the same headers. */
export async function getFile(exchange: Exchange, { sandboxes, caller, sandbox, query }: FileRequest): Promise<void> {
  const { request, response } = exchange
  const path = checkPath(query.text('path') ?? '')
  const user = userOption(query.text('user') ?? '')
  const signal = clientSignal(response, caller.ended)
  const part = askedPart(query, request.headers.range)
  using lease = await sandboxes.guest(caller, sandbox)
  const isHead = request.method === 'HEAD'
  const from = part === undefined ? undefined : await toOffset(lease.guest, path, user, part, signal)
  const file = await lease.guest.readFile(path, { ...from, ...(isHead ? { length: 0 } : {}), ...user }, signal)
  try {
    const expected = writeHead(exchange, file.info, from)
    if (!isHead) await pour(exchange, file, expected)
    response.end()
  } catch (error) {
    await file.content[Symbol.asyncIterator]().return?.()
    throw error
  }
}

/** Streams a body of any size into a file, which is replaced in one step at the end. */
export async function putFile(exchange: Exchange, file: FileRequest): Promise<void> {
  const { sandboxes, caller, sandbox, query, stalledMs } = file
  const path = checkPath(query.text('path') ?? '')
  const mode = query.octal('mode')
  const options = {
    ...userOption(query.text('user') ?? ''),
    ...(mode === undefined ? {} : { mode: checkMode(mode) }),
    parents: query.truth('parents') ?? true,
  }
  using lease = await sandboxes.guest(caller, sandbox)
  const signal = clientSignal(exchange.response, caller.ended)
  const info = await lease.guest.writeFile(path, uploadBody(exchange.request, stalledMs), options, signal)
  file.onWritten?.()
  const body = toJsonString(FileInfoSchema, create(FileInfoSchema, toFileInfo(info)))
  const { response } = exchange
  response.setHeader('content-type', 'application/json')
  response.setHeader('content-length', Buffer.byteLength(body))
  response.end(body)
}

function askedPart(query: Query, range: string | undefined): Part | undefined {
  const offset = query.count('offset')
  const length = query.count('length')
  if (offset === undefined && length === undefined) return parseRange(range)
  return { offset: offset ?? 0, ...(length === undefined ? {} : { length }) }
}

/** "The last n bytes" needs the size first; `stat` does not follow links, so an empty read asks. */
async function toOffset(
  guest: Guest,
  path: string,
  user: { user?: string },
  part: Part,
  signal: AbortSignal,
): Promise<{ offset: number; length?: number }> {
  if ('offset' in part) return part
  const { info } = await guest.readFile(path, { length: 0, ...user }, signal)
  const offset = Math.max(0, info.size - part.last)
  return { offset, length: info.size - offset }
}

/** Answers how many bytes have to follow; undefined when nobody knows (files of /proc say 0 and have content). */
function writeHead(
  { response }: Exchange,
  info: FileInfo,
  part: { offset: number; length?: number } | undefined,
): number | undefined {
  const { size } = info
  if (part !== undefined && part.offset >= size && part.offset > 0) {
    response.setHeader('content-range', `bytes */${size}`)
    throw new StatusError(416, new CoveError('invalid-argument', `the range starts behind the end, at byte ${size}`))
  }
  response.setHeader('content-type', 'application/octet-stream')
  response.setHeader('content-disposition', 'attachment')
  response.setHeader('x-content-type-options', 'nosniff')
  response.setHeader('accept-ranges', 'bytes')
  response.setHeader('last-modified', new Date(info.modifiedAt).toUTCString())
  response.setHeader('x-cove-mode', info.mode.toString(8))
  if (size === 0) return undefined
  const length = part === undefined ? size : Math.min(part.length ?? size, size - part.offset)
  if (part !== undefined) {
    response.statusCode = 206
    if (length > 0) response.setHeader('content-range', `bytes ${part.offset}-${part.offset + length - 1}/${size}`)
  }
  response.setHeader('content-length', length)
  return length
}

/** A file that grows meanwhile is cut at the announced length; one that shrinks breaks the answer off. */
async function pour(
  { response }: Exchange,
  { content, info }: FileContent,
  expected: number | undefined,
): Promise<void> {
  let left = expected ?? Infinity
  for await (const chunk of content) {
    const piece = chunk.length > left ? chunk.subarray(0, left) : chunk
    left -= piece.length
    if (piece.length > 0 && !response.write(piece)) await drained(response)
    if (left === 0) return
  }
  if (expected !== undefined && left > 0) {
    throw new CoveError('io-error', `${info.path} became shorter while it was read`)
  }
}
