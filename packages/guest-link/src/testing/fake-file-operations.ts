import { CoveError } from '@cove/domain'
import { FieldsWriter, STREAM, type Fields } from '@cove/frames'
import { writeFileEntry } from '../wire/file-entry.ts'
import {
  CHMOD,
  LIST,
  MAKE_DIRECTORY,
  MAX_NAME_BYTES,
  MAX_PATH_BYTES,
  MOVE,
  OPERATION,
  PATH,
  READ,
  REMOVE,
  SYMLINK,
  WATCH,
  WATCH_EVENT,
  WATCH_EVENT_KIND,
  WRITE,
} from '../wire/tags.ts'
import type { FakeChannel } from './fake-channel.ts'
import type { FakeChange, FakeFiles, FakeNode, FakeUser } from './fake-files.ts'
import type { FakeGuest } from './fake-guest.ts'
import type { FakeOperation } from './fake-operations.ts'
import { fakeUser } from './fake-user.ts'

const BLOCK = 65_536

export const FAKE_FILE_OPERATIONS: Readonly<Record<number, FakeOperation>> = {
  [OPERATION.read]: async (guest, channel, request) => {
    const { files, path, user } = target(guest, request)
    const node = files.read(path, user)
    const offset = request.number(READ.offset) ?? 0
    const content = node.content.subarray(offset, offset + (request.number(READ.length) ?? node.content.length))
    channel.opened(writeFileEntry(files.info(path, node)))
    for (let at = 0; at < content.length; at += BLOCK) {
      await channel.send(STREAM.content, content.subarray(at, at + BLOCK))
    }
    channel.end()
  },

  [OPERATION.write]: async (guest, channel, request) => {
    const { files, path, user } = target(guest, request)
    files.mayWrite(path, user, request.truth(WRITE.parents) ?? false)
    channel.opened()
    const pieces: Buffer[] = []
    for (;;) {
      const bytes = await channel.next()
      if (bytes === undefined) break
      pieces.push(bytes)
    }
    const node = files.write(path, Buffer.concat(pieces), user, request.number(WRITE.mode) ?? 0o644)
    channel.event(writeFileEntry(files.info(path, node)))
  },

  [OPERATION.stat]: (guest, channel, request) => {
    const { files, path, user } = target(guest, request)
    channel.opened(writeFileEntry(files.info(path, files.lookup(path, user, false))))
    return Promise.resolve()
  },

  [OPERATION.list]: async (guest, channel, request) => {
    const { files, path, user } = target(guest, request)
    const directory = files.lookup(path, user, true)
    if (directory.type !== 'directory') throw new CoveError('not-a-directory', 'is not a directory', { errno: 20 })
    channel.opened()
    await listInto(channel, files, directory, '', request.number(LIST.depth) ?? 1)
    channel.end()
  },

  [OPERATION.makeDirectory]: (guest, channel, request) => {
    const { files, path, user } = target(guest, request)
    const mode = request.number(MAKE_DIRECTORY.mode) ?? 0o755
    if (request.truth(MAKE_DIRECTORY.parents) === true) files.makeDirectories(path, mode, user)
    else files.makeDirectory(path, mode, user)
    channel.opened()
    return Promise.resolve()
  },

  [OPERATION.move]: (guest, channel, request) => {
    const { files, path, user } = target(guest, request)
    files.move(path, checked(request.needBytes(MOVE.to)), user)
    channel.opened()
    return Promise.resolve()
  },

  [OPERATION.remove]: (guest, channel, request) => {
    const { files, path, user } = target(guest, request)
    try {
      files.remove(path, request.truth(REMOVE.recursive) ?? false, user)
    } catch (error) {
      const missing = error instanceof CoveError && error.code === 'file-not-found'
      if (!missing || request.truth(REMOVE.force) !== true) throw error
    }
    channel.opened()
    return Promise.resolve()
  },

  [OPERATION.chmod]: (guest, channel, request) => {
    const { files, path, user } = target(guest, request)
    files.chmod(path, request.needNumber(CHMOD.mode), user)
    channel.opened()
    return Promise.resolve()
  },

  [OPERATION.symlink]: (guest, channel, request) => {
    const { files, path, user } = target(guest, request)
    files.symlink(request.needBytes(SYMLINK.target).toString('latin1'), path, user)
    channel.opened()
    return Promise.resolve()
  },

  [OPERATION.watch]: (guest, channel, request) => {
    const { files, path, user } = target(guest, request)
    files.lookup(path, user, true)
    const recursive = request.truth(WATCH.recursive) ?? false
    const within = (other: string): string | undefined => {
      if (!other.startsWith(`${path}/`)) return undefined
      const relative = other.slice(path.length + 1)
      return recursive || !relative.includes('/') ? relative : undefined
    }
    const onChange: FakeChange = (kind, at, to) => {
      const from = within(at)
      const there = to === undefined ? undefined : within(to)
      if (kind !== 'renamed') tell(channel, kind, from)
      else if (from !== undefined && there !== undefined) tell(channel, 'renamed', from, there)
      else if (from !== undefined) tell(channel, 'removed', from)
      else tell(channel, 'created', there)
    }
    files.watchers.add(onChange)
    channel.opened()
    return new Promise((resolve) => {
      channel.signal.addEventListener('abort', () => {
        files.watchers.delete(onChange)
        resolve()
      })
    })
  },
}

function tell(channel: FakeChannel, kind: keyof typeof WATCH_EVENT_KIND, path: string | undefined, to?: string): void {
  if (path === undefined) return
  const fields = new FieldsWriter()
    .number(WATCH_EVENT.kind, WATCH_EVENT_KIND[kind])
    .bytes(WATCH_EVENT.path, Buffer.from(path, 'latin1'))
  channel.event(to === undefined ? fields : fields.bytes(WATCH_EVENT.to, Buffer.from(to, 'latin1')))
}

async function listInto(
  channel: FakeChannel,
  files: FakeFiles,
  directory: FakeNode,
  prefix: string,
  depth: number,
): Promise<void> {
  for (const [name, node] of directory.entries) {
    const path = prefix + name
    const entry = writeFileEntry(files.info(path, node)).finish()
    const length = Buffer.alloc(4)
    length.writeUInt32BE(entry.length)
    await channel.send(STREAM.content, Buffer.concat([length, entry]))
    if (node.type === 'directory' && depth > 1) await listInto(channel, files, node, `${path}/`, depth - 1)
  }
}

function target(guest: FakeGuest, request: Fields): { files: FakeFiles; path: string; user: FakeUser } {
  return {
    files: guest.files,
    path: checked(request.needBytes(PATH.path)),
    user: fakeUser(request.text(PATH.user), guest.user),
  }
}

/** Without a slash at its end, so that one file has one path. */
function checked(path: Buffer): string {
  const text = path.toString('latin1')
  if (!text.startsWith('/') || text.length > MAX_PATH_BYTES || text.includes('\0')) {
    throw new CoveError('path-invalid', 'the path is not one')
  }
  if (text.split('/').some((name) => name.length > MAX_NAME_BYTES)) {
    throw new CoveError('path-invalid', 'a name in the path is too long', { errno: 36 })
  }
  return text.length > 1 ? text.replace(/\/+$/, '') : text
}
