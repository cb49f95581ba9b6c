import { CoveError } from '@cove/domain'
import { toNumber, toObject, toText } from './json.ts'

/** A file or folder in a container. */
export interface PathStat {
  readonly name: string
  readonly kind: 'file' | 'directory' | 'link' | 'other'
  /** The nine bits of permission. */
  readonly mode: number
  readonly sizeBytes: number
  /** Of a link: where it leads, absolute, inside the container. Empty otherwise. */
  readonly linkTarget: string
}

/** Bits of Go's `fs.FileMode`, which the engine passes on. */
const DIRECTORY = 0x80000000
const LINK = 0x08000000
const OTHER = 0x04000000 | 0x02000000 | 0x01000000 | 0x00200000 | 0x00080000
const PERMISSION = 0o777

/** The header's value: JSON in base64. */
export function toPathStat(header: string | readonly string[] | undefined): PathStat {
  if (typeof header !== 'string')
    throw new CoveError('driver-failed', 'the Docker Engine does not say what the path is')
  const object = toObject(parse(Buffer.from(header, 'base64').toString('utf8')), 'path')
  const mode = toNumber(object, 'mode')
  return {
    name: toText(object, 'name'),
    kind: kindOf(mode),
    mode: mode & PERMISSION,
    sizeBytes: toNumber(object, 'size'),
    linkTarget: toText(object, 'linkTarget'),
  }
}

function kindOf(mode: number): PathStat['kind'] {
  if ((mode & DIRECTORY) !== 0) return 'directory'
  if ((mode & LINK) !== 0) return 'link'
  return (mode & OTHER) === 0 ? 'file' : 'other'
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw CoveError.from(cause, 'driver-failed')
  }
}
