import { CoveError, type FileEvent, type WatchOptions } from '@cove/domain'
import { FrameError, type Fields } from '@cove/frames'
import type { Channel } from '../channel.ts'
import type { Session } from '../session.ts'
import { MAX_PATH_BYTES, OPERATION, WATCH, WATCH_EVENT, WATCH_EVENT_KIND } from '../wire/tags.ts'
import { decode, openCall } from './call.ts'
import { fileRequest } from './files.ts'

/** Resolves when the watch stands. A reader that is too slow is told `overflow` in place of what it missed. */
export async function watch(
  session: Session,
  path: string,
  options: WatchOptions,
  signal: AbortSignal | undefined,
): Promise<AsyncIterable<FileEvent>> {
  const fields = fileRequest(OPERATION.watch, path, options).truth(WATCH.recursive, options.recursive)
  const channel = openCall(session, fields, signal, {
    maxEvents: 4096,
    maxEventBytes: 1024 * 1024,
    onFlood: 'overflow',
  })
  await channel.opened
  return new WatchEvents(channel)
}

class WatchEvents implements AsyncIterableIterator<FileEvent> {
  readonly #channel: Channel

  constructor(channel: Channel) {
    this.#channel = channel
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<FileEvent>> {
    for (;;) {
      const item = await this.#channel.next()
      if (item === undefined) return { done: true, value: undefined }
      if (item.kind === 'overflow') return { done: false, value: { type: 'overflow' } }
      if (item.kind !== 'event') throw this.#channel.violation('content in a watch')
      const event = decode(this.#channel, () => readWatchEvent(item.fields))
      if (event !== undefined) return { done: false, value: event }
    }
  }

  return(): Promise<IteratorResult<FileEvent>> {
    this.#channel.close()
    return Promise.resolve({ done: true, value: undefined })
  }

  throw(error: unknown): Promise<IteratorResult<FileEvent>> {
    this.#channel.close()
    return Promise.reject(CoveError.from(error))
  }
}

// Kinds that this version does not know are skipped: the protocol grows by them.
function readWatchEvent(fields: Fields): FileEvent | undefined {
  const kind = fields.needNumber(WATCH_EVENT.kind)
  switch (kind) {
    case WATCH_EVENT_KIND.created:
      return { type: 'created', path: readPath(fields, WATCH_EVENT.path) }
    case WATCH_EVENT_KIND.modified:
      return { type: 'modified', path: readPath(fields, WATCH_EVENT.path) }
    case WATCH_EVENT_KIND.removed:
      return { type: 'removed', path: readPath(fields, WATCH_EVENT.path) }
    case WATCH_EVENT_KIND.chmod:
      return { type: 'chmod', path: readPath(fields, WATCH_EVENT.path) }
    case WATCH_EVENT_KIND.renamed:
      return { type: 'renamed', path: readPath(fields, WATCH_EVENT.path), to: readPath(fields, WATCH_EVENT.to) }
    case WATCH_EVENT_KIND.overflow:
      return { type: 'overflow' }
    default:
      return undefined
  }
}

function readPath(fields: Fields, tag: number): string {
  const bytes = fields.needBytes(tag)
  if (bytes.length > MAX_PATH_BYTES) throw new FrameError('a watched path that is too long')
  return bytes.toString('utf8')
}
