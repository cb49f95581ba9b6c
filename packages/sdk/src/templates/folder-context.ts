import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, readdir, readFile, readlink, realpath } from 'node:fs/promises'
import { basename, join, relative, resolve, sep } from 'node:path'
import { CoveError } from '@cove/domain'
import type { BuildContext } from './build-context.ts'
import { parseIgnore, type Ignore } from './ignore.ts'
import { tarOf, type TarEntry } from './tar.ts'

export interface FolderCopy {
  /** Everything that is copied lies below it. */
  readonly root: string
  /** A file or a directory, relative to the root. */
  readonly from: string
  /** A directory's content goes below it; a file gets this name unless it ends with a slash. */
  readonly to: string
  /** Beside those of `.coveignore` in the root. */
  readonly ignore: readonly string[]
}

export interface PackedCopy {
  readonly context: BuildContext
  /** The directory below which the archive belongs. */
  readonly to: string
}

const IGNORE_FILE = '.coveignore'
const MOST_ENTRIES = 1_000_000

/**
 * One path of a folder as an archive that is the same bytes whenever names, content, links and the right to execute
 * are: in the order of names, without owners and times. Links are copied as links and never followed.
 */
export async function packFolder({ root, from, to, ignore }: FolderCopy): Promise<PackedCopy> {
  const top = await realpath(root).catch((cause: unknown) => notThere(root, cause))
  const path = await realpath(join(top, from)).catch((cause: unknown) => notThere(from, cause))
  if (path !== top && !path.startsWith(top.endsWith(sep) ? top : top + sep)) {
    throw new CoveError(
      'invalid-argument',
      `${shown(from)} leads out of ${top}`,
      { field: 'copy' },
      {
        fix: 'Copy only what lies below the directory of the definition, or build from a directory further up.',
      },
    )
  }
  const stat = await lstat(path)
  const rules = await readIgnore(top, ignore)
  const single = stat.isFile()
  if (!single && !stat.isDirectory())
    throw new CoveError('invalid-argument', `${shown(from)} is no file and no directory`)
  const name = to.endsWith('/') || to === '.' || to === '' ? basename(resolve(top, from)) : (to.split('/').at(-1) ?? '')
  const entries = (): AsyncIterable<TarEntry> => (single ? oneFile(path, name) : below(top, path, rules))
  const digest = await digestOf(entries())
  const context = { digest, content: () => tarOf(entries()) }
  return { context, to: single ? parentOf(to) : to || '.' }
}

async function digestOf(entries: AsyncIterable<TarEntry>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of tarOf(entries)) hash.update(chunk)
  return `sha256:${hash.digest('hex')}`
}

async function* oneFile(path: string, name: string): AsyncGenerator<TarEntry> {
  const { size, mode } = await lstat(path)
  yield { type: 'file', path: name, executable: (mode & 0o100) !== 0, size, content: () => createReadStream(path) }
}

/** Directories before what is in them, by name; paths are told below `folder`. */
async function* below(top: string, folder: string, rules: Ignore): AsyncGenerator<TarEntry> {
  const waiting: string[] = []
  const push = async (directory: string): Promise<void> => {
    const names = await readdir(directory)
    for (const name of names.toSorted().toReversed()) waiting.push(join(directory, name))
  }
  await push(folder)
  let count = 0
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (++count > MOST_ENTRIES) throw new CoveError('payload-too-large', `a copy has at most ${MOST_ENTRIES} files`)
    const stat = await lstat(path)
    const ignored = rules.ignores(slashed(relative(top, path)), stat.isDirectory())
    if (ignored && !(stat.isDirectory() && rules.hasExceptions)) continue
    const name = slashed(relative(folder, path))
    if (stat.isDirectory()) {
      if (!ignored) yield { type: 'directory', path: name }
      await push(path)
    } else if (ignored) {
      continue
    } else if (stat.isSymbolicLink()) {
      yield { type: 'symlink', path: name, target: await readlink(path) }
    } else if (stat.isFile()) {
      const file = path
      const { size, mode } = stat
      yield { type: 'file', path: name, executable: (mode & 0o100) !== 0, size, content: () => createReadStream(file) }
    }
  }
}

async function readIgnore(root: string, more: readonly string[]): Promise<Ignore> {
  const text = await readFile(join(root, IGNORE_FILE), 'utf8').catch(() => '')
  return parseIgnore([...text.split('\n'), ...more])
}

function parentOf(to: string): string {
  if (to.endsWith('/') || to === '.' || to === '') return to || '.'
  const slash = to.lastIndexOf('/')
  return slash < 0 ? '.' : slash === 0 ? '/' : to.slice(0, slash)
}

const slashed = (path: string): string => path.split(sep).join('/')

function shown(path: string): string {
  return JSON.stringify(path.slice(0, 200))
}

function notThere(path: string, cause: unknown): never {
  throw new CoveError(
    'invalid-argument',
    `${shown(path)} cannot be read`,
    { field: 'copy' },
    {
      cause,
      fix: 'Paths of a copy are relative to the directory of the definition.',
    },
  )
}
