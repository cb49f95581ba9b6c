import { isUtf8 } from 'node:buffer'
import type { FileInfo, FileType } from '@cove/domain'
import { FieldsWriter, FrameError, type Fields } from '@cove/frames'
import { FILE, FILE_TYPES, MAX_PATH_BYTES } from './tags.ts'

const SLASH = 0x2f

export function readFileEntry(fields: Fields): FileInfo {
  const raw = fields.needBytes(FILE.path)
  if (raw.length > MAX_PATH_BYTES || raw.includes(0)) throw new FrameError('a path that cannot be')
  const target = fields.bytes(FILE.target)
  if (target !== undefined && target.length > MAX_PATH_BYTES) throw new FrameError('a link target that cannot be')
  const path = raw.toString('utf8')
  return {
    name: lastPart(raw).toString('utf8'),
    path,
    ...(isUtf8(raw) ? {} : { rawPath: new Uint8Array(raw) }),
    type: readType(fields.needNumber(FILE.type)),
    size: fields.needNumber(FILE.size),
    mode: fields.needNumber(FILE.mode) & 0o7777,
    uid: fields.needNumber(FILE.uid),
    gid: fields.needNumber(FILE.gid),
    modifiedAt: fields.needNumber(FILE.modifiedAt),
    ...(target === undefined ? {} : { symlinkTarget: target.toString('utf8') }),
  }
}

export function writeFileEntry(info: FileInfo): FieldsWriter {
  return new FieldsWriter()
    .bytes(FILE.path, info.rawPath ?? Buffer.from(info.path))
    .number(FILE.type, typeNumber(info.type))
    .number(FILE.size, info.size)
    .number(FILE.mode, info.mode)
    .number(FILE.uid, info.uid)
    .number(FILE.gid, info.gid)
    .number(FILE.modifiedAt, info.modifiedAt)
    .text(FILE.target, info.symlinkTarget)
}

function lastPart(path: Buffer): Buffer {
  const slash = path.lastIndexOf(SLASH)
  return path.length === 1 ? path : path.subarray(slash + 1)
}

function readType(number: number): FileType {
  switch (number) {
    case 1:
    case 2:
    case 3:
    case 4:
      return FILE_TYPES[number]
    default:
      throw new FrameError('a file of an unknown type')
  }
}

function typeNumber(type: FileType): number {
  for (const number of [1, 2, 3, 4] as const) if (FILE_TYPES[number] === type) return number
  throw new FrameError(`no file type ${type}`)
}
