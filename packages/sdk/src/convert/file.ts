import { FileType as WireType, WatchFilesResponse_Kind as Kind } from '@cove/api'
import type { FileInfo as WireFile, WatchFilesResponse_Change as WireChange } from '@cove/api'
import type { FileEvent, FileType } from '@cove/domain'
import { dateOf } from './time.ts'
import type { FileInfo } from '../file-info.ts'

export function fileInfo(wire: WireFile): FileInfo {
  return {
    name: wire.name,
    path: wire.path,
    ...(wire.rawPath.byteLength === 0 ? {} : { rawPath: wire.rawPath }),
    type: typeOf(wire.type),
    size: Number(wire.size),
    mode: wire.mode,
    uid: wire.uid,
    gid: wire.gid,
    modifiedAt: wire.modifiedAt === undefined ? new Date(0) : dateOf(wire.modifiedAt),
    ...(wire.type === WireType.SYMLINK ? { symlinkTarget: wire.symlinkTarget } : {}),
  }
}

function typeOf(wire: WireType): FileType {
  switch (wire) {
    case WireType.FILE:
      return 'file'
    case WireType.DIRECTORY:
      return 'directory'
    case WireType.SYMLINK:
      return 'symlink'
    default:
      return 'other'
  }
}

export function fileEvent(change: WireChange): FileEvent | undefined {
  const { path } = change
  switch (change.kind) {
    case Kind.CREATED:
      return { type: 'created', path }
    case Kind.MODIFIED:
      return { type: 'modified', path }
    case Kind.REMOVED:
      return { type: 'removed', path }
    case Kind.CHMOD:
      return { type: 'chmod', path }
    case Kind.RENAMED:
      return { type: 'renamed', path, to: change.newPath }
    default:
      return undefined
  }
}
