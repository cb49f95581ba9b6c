import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'

export interface LocalEntry {
  /** Parts of the path below the root, from the top. Empty for the root itself. */
  readonly parts: readonly string[]
  readonly path: string
  readonly type: 'file' | 'directory' | 'symlink' | 'other'
  readonly mode: number
  readonly size: number
  readonly target?: string
}

/** Everything below a path, each directory before what is in it. Links are told as links and never followed. */
export async function* localTree(
  root: string,
  onSkip: (path: string, why: string) => void,
): AsyncGenerator<LocalEntry> {
  const waiting: (readonly string[])[] = [[]]
  for (let parts = waiting.pop(); parts !== undefined; parts = waiting.pop()) {
    const entry = await look(root, parts)
    yield entry
    if (entry.type !== 'directory') continue
    // As bytes: a name that is not UTF-8 would come back as another name.
    for (const bytes of await readdir(entry.path, { encoding: 'buffer' })) {
      const name = bytes.toString('utf8')
      if (Buffer.from(name, 'utf8').equals(bytes)) waiting.push([...parts, name])
      else onSkip(join(entry.path, name), 'its name is not UTF-8')
    }
  }
}

async function look(root: string, parts: readonly string[]): Promise<LocalEntry> {
  const path = join(root, ...parts)
  const stat = await lstat(path)
  const { size } = stat
  const mode = stat.mode & 0o777
  if (stat.isSymbolicLink()) return { parts, path, type: 'symlink', mode, size, target: await readlink(path) }
  const type = stat.isDirectory() ? 'directory' : stat.isFile() ? 'file' : 'other'
  return { parts, path, type, mode, size }
}
