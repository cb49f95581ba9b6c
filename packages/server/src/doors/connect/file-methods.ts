import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import {
  SignFileUrlRequest_Operation as Operation,
  WatchFilesResponse_Kind as Kind,
  type FileInfoSchema,
  type FileService,
  type WatchFilesResponseSchema,
} from '@cove/api'
import type { FileEvent } from '@cove/domain'
import type { FileUrls } from '../../identity/file-urls.ts'
import type { ServerLimits } from '../../options.ts'
import { endedError } from '../../sandboxes/ledger.ts'
import { bad } from '../../sandboxes/request.ts'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
import type { Methods } from './call.ts'
import { checkMode, checkPath, checkRef, parseMilliseconds, userOption } from './from-wire.ts'
import { withKeepAlive } from './keep-alive.ts'
import { toFileInfo } from './to-wire.ts'

const DEEPEST = 64
/** Entries in one message of a listing: few enough to come soon, many enough to come fast. */
const BATCH = 256

export function fileMethods(
  sandboxes: Sandboxes,
  fileUrls: FileUrls,
  limits: ServerLimits,
): Methods<typeof FileService> {
  return {
    async statFile({ sandbox, path, user }, { caller, signal }) {
      checkPath(path)
      using lease = await sandboxes.guest(caller, checkRef(sandbox))
      return { file: toFileInfo(await lease.guest.stat(path, userOption(user), signal)) }
    },
    async *listFiles({ sandbox, path, depth, user }, { caller, signal }) {
      checkPath(path)
      if (depth > DEEPEST) throw bad('depth', `must be 1 to ${DEEPEST}`)
      using lease = await sandboxes.guest(caller, checkRef(sandbox))
      let files: MessageInitShape<typeof FileInfoSchema>[] = []
      const options = { depth: depth === 0 ? 1 : depth, ...userOption(user) }
      for await (const file of lease.guest.list(path, options, signal)) {
        files.push(toFileInfo(file))
        if (files.length < BATCH) continue
        yield { files }
        files = []
      }
      yield { files }
    },
    async signFileUrl({ sandbox: ref, path, user, operation, expiresIn }, { caller }) {
      checkPath(path)
      const sandbox = await sandboxes.get(caller, checkRef(ref))
      if (sandbox.status.state === 'deleted') throw endedError(ref, sandbox)
      const { url, expiresAt } = fileUrls.sign(caller, sandbox, {
        path,
        user: userOption(user).user ?? '',
        operation: parseOperation(operation),
        expiresIn: parseMilliseconds(expiresIn, 'expiresIn'),
      })
      return { path: url, expiresAt: timestampFromMs(expiresAt) }
    },
    async makeDirectory({ sandbox, path, parents, mode, user }, { caller, signal }) {
      checkPath(path)
      const options = { parents, ...(mode === undefined ? {} : { mode: checkMode(mode) }), ...userOption(user) }
      using lease = await sandboxes.guest(caller, checkRef(sandbox))
      await lease.guest.makeDirectory(path, options, signal)
      return {}
    },
    async moveFile({ sandbox, from, to, user }, { caller, signal }) {
      checkPath(from, 'from')
      checkPath(to, 'to')
      using lease = await sandboxes.guest(caller, checkRef(sandbox))
      await lease.guest.move(from, to, userOption(user), signal)
      return {}
    },
    async removeFile({ sandbox, path, recursive, force, user }, { caller, signal }) {
      checkPath(path)
      using lease = await sandboxes.guest(caller, checkRef(sandbox))
      await lease.guest.remove(path, { recursive, force, ...userOption(user) }, signal)
      return {}
    },
    async changeMode({ sandbox, path, mode, user }, { caller, signal }) {
      checkPath(path)
      checkMode(mode)
      using lease = await sandboxes.guest(caller, checkRef(sandbox))
      await lease.guest.chmod(path, mode, userOption(user), signal)
      return {}
    },
    async makeSymlink({ sandbox, path, target, user }, { caller, signal }) {
      checkPath(path)
      if (target === '' || target.includes('\0')) throw bad('target', 'must be a path without NUL')
      using lease = await sandboxes.guest(caller, checkRef(sandbox))
      await lease.guest.symlink(target, path, userOption(user), signal)
      return {}
    },
    async *watchFiles({ sandbox, path, recursive, user }, { caller, signal }) {
      checkPath(path)
      using lease = await sandboxes.guest(caller, checkRef(sandbox))
      const events = await lease.guest.watch(path, { recursive, ...userOption(user) }, signal)
      yield { event: { case: 'ready', value: {} } }
      yield* withKeepAlive<WireEvent>(wireEvents(events), limits.keepAliveMs, () => ({
        event: { case: 'keepAlive', value: {} },
      }))
    },
  }
}

function parseOperation(operation: Operation): 'read' | 'write' {
  if (operation === Operation.WRITE) return 'write'
  if (operation === Operation.READ || operation === Operation.UNSPECIFIED) return 'read'
  throw bad('operation', `has the unknown value ${operation}`)
}

type WireEvent = MessageInitShape<typeof WatchFilesResponseSchema>

const KINDS: Readonly<Record<Exclude<FileEvent['type'], 'overflow'>, Kind>> = {
  created: Kind.CREATED,
  modified: Kind.MODIFIED,
  removed: Kind.REMOVED,
  renamed: Kind.RENAMED,
  chmod: Kind.CHMOD,
}

async function* wireEvents(events: AsyncIterable<FileEvent>): AsyncGenerator<WireEvent> {
  for await (const event of events) {
    if (event.type === 'overflow') {
      yield { event: { case: 'overflow', value: {} } }
      continue
    }
    const newPath = event.type === 'renamed' ? event.to : ''
    yield { event: { case: 'change', value: { kind: KINDS[event.type], path: event.path, newPath } } }
  }
}
