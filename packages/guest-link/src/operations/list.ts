import type { FileInfo, ListOptions } from '@cove/domain'
import { Fields } from '@cove/frames'
import { checkWhole } from '../check.ts'
import type { Channel } from '../channel.ts'
import type { Session } from '../session.ts'
import { readFileEntry } from '../wire/file-entry.ts'
import { LIST, OPERATION } from '../wire/tags.ts'
import { decode, openCall } from './call.ts'
import { ContentReader } from './content-reader.ts'
import { fileRequest } from './files.ts'

/** A path and a link target of the longest kind, and the numbers. */
const MAX_ENTRY = 16 * 1024
const WINDOW = 256 * 1024

export async function* list(
  session: Session,
  path: string,
  options: ListOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<FileInfo, undefined> {
  const fields = fileRequest(OPERATION.list, path, options).number(
    LIST.depth,
    options.depth === undefined ? undefined : checkWhole('depth', options.depth, 1, 64),
  )
  const channel = openCall(session, fields, signal, { window: WINDOW })
  try {
    await channel.opened
    let rest: Buffer = Buffer.alloc(0)
    for await (const piece of new ContentReader(channel)) {
      const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length)
      const known = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
      let at = 0
      for (;;) {
        const end = entryEnd(channel, known, at)
        if (end === undefined) break
        const entry = known.subarray(at + 4, end)
        yield decode(channel, () => readFileEntry(new Fields(entry)))
        at = end
      }
      rest = Buffer.from(known.subarray(at))
    }
    if (rest.length > 0) throw channel.violation('a listing that is cut off')
  } finally {
    channel.close()
  }
  return undefined
}

function entryEnd(channel: Channel, bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < 4) return undefined
  const length = bytes.readUInt32BE(at)
  if (length > MAX_ENTRY) throw channel.violation('a listed entry that is too long')
  const end = at + 4 + length
  return end <= bytes.length ? end : undefined
}
