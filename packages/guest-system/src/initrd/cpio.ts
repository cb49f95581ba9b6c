/** One entry of an archive. Paths have no leading slash; folders come before what is in them. */
export type CpioEntry =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'file'; readonly path: string; readonly content: Uint8Array; readonly executable?: boolean }
  /** A character device. */
  | { readonly kind: 'device'; readonly path: string; readonly major: number; readonly minor: number }

const MODE = { folder: 0o040755, file: 0o100644, program: 0o100755, device: 0o020600 } as const
const TRAILER = 'TRAILER!!!'
/** The kernel reads names of at most PATH_MAX, and sizes of 32 bits. */
const MAX_PATH = 4_095
const MAX_BYTES = 0xffff_ffff

/**
 * An initramfs as Linux reads it: the portable ASCII format of cpio ("newc"), not compressed. The same entries give the
 * same bytes: everything belongs to root and is of the epoch.
 */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Uint8Array[] = []
  let inode = 1
  for (const entry of entries) parts.push(...member(entry, inode++))
  parts.push(...record(TRAILER, { inode: 0, mode: 0, links: 1 }))
  return Buffer.concat(parts)
}

function member(entry: CpioEntry, inode: number): Uint8Array[] {
  if (entry.path === '' || entry.path.startsWith('/') || entry.path.includes('\0') || entry.path === TRAILER) {
    throw new RangeError(`${JSON.stringify(entry.path)} is no path of an archive`)
  }
  if (entry.kind === 'folder') return record(entry.path, { inode, mode: MODE.folder, links: 2 })
  if (entry.kind === 'device') {
    const { major, minor } = entry
    return record(entry.path, { inode, mode: MODE.device, links: 1, major, minor })
  }
  const { content, executable = false } = entry
  return record(entry.path, { inode, mode: executable ? MODE.program : MODE.file, links: 1, content })
}

interface Facts {
  readonly inode: number
  readonly mode: number
  readonly links: number
  readonly major?: number
  readonly minor?: number
  readonly content?: Uint8Array
}

function record(path: string, { inode, mode, links, major = 0, minor = 0, content }: Facts): Uint8Array[] {
  const name = Buffer.from(`${path}\0`)
  const bytes = content?.length ?? 0
  if (name.length > MAX_PATH) throw new RangeError('a path of an archive is too long')
  if (bytes > MAX_BYTES) throw new RangeError('a file of an archive is too long')
  const owner = 0
  const time = 0
  const fields = [inode, mode, owner, owner, links, time, bytes, 0, 0, major, minor, name.length, 0]
  const head = Buffer.concat([Buffer.from(`070701${fields.map(hex).join('')}`), name])
  return [head, padding(head.length), ...(content === undefined ? [] : [content, padding(bytes)])]
}

const hex = (value: number): string => value.toString(16).padStart(8, '0')

const padding = (bytes: number): Uint8Array => new Uint8Array((4 - (bytes % 4)) % 4)
