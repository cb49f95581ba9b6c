import { randomBytes } from 'node:crypto'
import { chmod, lstat, mkdir, open, rename, rm, symlink, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CoveError } from '@cove/domain'
import type { FileInfo } from '../file-info.ts'
import type { Files } from '../files.ts'
import type { TransferOptions, TransferSummary } from './options.ts'
import { pool } from './pool.ts'
import { Tally } from './tally.ts'

const AT_ONCE = 16
/** The deepest that one listing goes. */
const LIST_DEPTH = 64
const OWNER_ALL = 0o700
/** Set-uid and the like stay behind: what comes out of a sandbox gets no rights here. */
const PERMISSIONS = 0o777

/**
 * Copies a file, or a directory with everything in it, from a sandbox to exactly `local`. The sandbox is not trusted:
 * no name and no link of its making leads to a place outside of `local`.
 */
export async function download(
  files: Files,
  remote: string,
  local: string,
  options: TransferOptions,
): Promise<TransferSummary> {
  const tally = new Tally(options)
  const info = await files.stat(remote, options)
  if (info.type === 'directory' || (info.type === 'symlink' && (await leadsToDirectory(files, remote, options)))) {
    await new TreeDownload(files, remote, local, options, tally).run()
  } else {
    await downloadFile(files, remote, local, info.type === 'symlink' ? 0o644 : info.mode, options, tally)
  }
  return tally.summary()
}

async function leadsToDirectory(files: Files, path: string, options: TransferOptions): Promise<boolean> {
  return files.stat(`${path}/.`, options).then(
    ({ type }) => type === 'directory',
    () => false,
  )
}

class TreeDownload {
  readonly #files: Files
  readonly #remote: string
  readonly #local: string
  readonly #options: TransferOptions
  readonly #tally: Tally
  readonly #links: { readonly path: string; readonly target: string }[] = []
  readonly #directories: { readonly path: string; readonly mode: number }[] = []

  constructor(files: Files, remote: string, local: string, options: TransferOptions, tally: Tally) {
    this.#files = files
    this.#remote = remote.replace(/\/+$/, '')
    this.#local = local
    this.#options = options
    this.#tally = tally
  }

  async run(): Promise<void> {
    await makeDirectory(this.#local)
    this.#tally.entry()
    await pool(this.#fileEntries(), AT_ONCE, async ({ path, mode }) => {
      const local = join(this.#local, path)
      await downloadFile(this.#files, `${this.#remote}/${path}`, local, mode, this.#options, this.#tally)
    })
    // Links come after all files, so that no file can be written through one.
    for (const { path, target } of this.#links) await this.#makeLink(path, target)
    for (const { path, mode } of this.#directories.toReversed()) await chmod(path, mode & PERMISSIONS)
  }

  /** Files to fetch; directories are made and links are noted on the way. */
  async *#fileEntries(): AsyncGenerator<FileInfo> {
    const waiting = ['']
    for (let below = waiting.pop(); below !== undefined; below = waiting.pop()) {
      for await (const found of this.#files.list(`${this.#remote}/${below}`, { ...this.#options, depth: LIST_DEPTH })) {
        const depth = found.path.split('/').length
        const entry = { ...found, path: below === '' ? found.path : `${below}/${found.path}` }
        const local = join(this.#local, safePath(entry.path))
        if (entry.rawPath !== undefined) {
          this.#tally.skip(`${this.#remote}/${entry.path}`, 'its name is not UTF-8')
        } else if (entry.type === 'directory') {
          await makeDirectory(local)
          this.#directories.push({ path: local, mode: entry.mode })
          this.#tally.entry()
          if (depth >= LIST_DEPTH) waiting.push(entry.path)
        } else if (entry.type === 'symlink') {
          this.#links.push({ path: local, target: entry.symlinkTarget ?? '' })
        } else if (entry.type === 'file') {
          yield entry
        } else {
          this.#tally.skip(`${this.#remote}/${entry.path}`, 'it is neither a file, a directory nor a link')
        }
      }
    }
  }

  async #makeLink(path: string, target: string): Promise<void> {
    const there = await lstat(path).catch(() => undefined)
    if (there?.isDirectory() === true) throw occupied(path, 'a directory')
    if (there !== undefined) await unlink(path)
    await symlink(target, path)
    this.#tally.entry()
  }
}

/** Written aside and renamed: a transfer that breaks off leaves the old file, and no link is ever written through. */
async function downloadFile(
  files: Files,
  remote: string,
  local: string,
  mode: number,
  options: TransferOptions,
  tally: Tally,
): Promise<void> {
  const { content } = await files.readStream(remote, options)
  const aside = join(dirname(local), `.cove-${randomBytes(8).toString('hex')}`)
  const file = await open(aside, 'wx', 0o600)
  try {
    try {
      for await (const part of content) {
        await file.writeFile(part)
        tally.moved(part.byteLength)
      }
      await file.chmod(mode & PERMISSIONS)
    } finally {
      await file.close()
    }
    await rename(aside, local)
  } catch (thrown) {
    await rm(aside, { force: true })
    throw thrown
  }
  tally.entry()
}

/** A link in its place would lead the files that follow elsewhere. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o755 })
  } catch (thrown) {
    const exists = thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST'
    if (!exists) throw thrown
    const there = await lstat(path)
    if (!there.isDirectory()) throw occupied(path, there.isSymbolicLink() ? 'a link' : 'a file')
    if ((there.mode & OWNER_ALL) !== OWNER_ALL) await chmod(path, there.mode | OWNER_ALL)
  }
}

function safePath(path: string): string {
  const parts = path.split('/')
  if (parts.some((part) => part === '' || part === '.' || part === '..' || part.includes('\0'))) {
    throw new CoveError(
      'path-invalid',
      `the sandbox named a file ${JSON.stringify(path.slice(0, 200))}`,
      {},
      {
        fix: 'Nothing was written there. Do not trust this sandbox.',
      },
    )
  }
  return path
}

function occupied(path: string, what: string): CoveError {
  return new CoveError(
    'file-exists',
    `${path} is there already, and is ${what}`,
    { path },
    {
      fix: 'Choose another place on this machine, or remove it first.',
    },
  )
}
