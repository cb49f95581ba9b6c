import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** Everything that a file system says of one entry. */
export interface EntryFacts {
  readonly kind: string
  readonly mode: string
  readonly owner: string
  readonly modified: string
  /** The first of its names, in order of bytes, where it has several. */
  readonly sameAs?: string
  /** Of a file: size and digest; of a link: its target; of a device: its numbers. */
  readonly content?: string
  readonly attributes?: Readonly<Record<string, string>>
}

/** A whole tree, by paths below `root`; the root is `.`. */
export function treeFacts(root: string): Readonly<Record<string, EntryFacts>> {
  const attributes = allAttributes(root)
  const first = new Map<string, string>()
  const facts: Record<string, EntryFacts> = {}
  const visit = (path: string) => {
    const full = join(root, path)
    const found = lstatSync(full, { bigint: true })
    const inode = `${found.dev}:${found.ino}`
    if (!found.isDirectory() && found.nlink > 1n && !first.has(inode)) first.set(inode, path)
    const sameAs = first.get(inode)
    const content = found.isFile()
      ? `${found.size} ${createHash('sha256').update(readFileSync(full)).digest('hex')}`
      : found.isSymbolicLink()
        ? readlinkSync(full)
        : found.isCharacterDevice() || found.isBlockDevice()
          ? String(found.rdev)
          : undefined
    const own = attributes.get(full)
    facts[path] = {
      kind: (Number(found.mode) & 0o170000).toString(8),
      mode: (Number(found.mode) & 0o7777).toString(8),
      owner: `${found.uid}:${found.gid}`,
      modified: String(found.mtimeNs),
      ...(sameAs === undefined || sameAs === path ? {} : { sameAs }),
      ...(content === undefined ? {} : { content }),
      ...(own === undefined ? {} : { attributes: own }),
    }
    if (found.isDirectory()) for (const name of readdirSync(full).toSorted()) visit(join(path, name))
  }
  visit('.')
  return facts
}

/** Bytes on the disk. */
export function storedBytes(file: string): number {
  return lstatSync(file).blocks * 512
}

function allAttributes(root: string): ReadonlyMap<string, Readonly<Record<string, string>>> {
  const said = execFileSync('getfattr', ['-R', '-P', '-h', '-d', '-m', '-', '-e', 'hex', '--absolute-names', root], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const found = new Map<string, Record<string, string>>()
  for (const block of said.split('\n\n')) {
    const [head = '', ...lines] = block.trim().split('\n')
    const path = head.replace(/^# file: /, '')
    if (path === '') continue
    found.set(
      path,
      Object.fromEntries(lines.map((line) => [line.split('=')[0] ?? '', line.slice(line.indexOf('=') + 1)])),
    )
  }
  return found
}
