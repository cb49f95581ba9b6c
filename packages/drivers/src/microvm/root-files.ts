import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstat, mkdir, mkdtemp, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CoveError, type ImageId, type TemplateRoot } from '@cove/domain'
import { findProgram } from '../launched/find-program.ts'

const run = promisify(execFile)

/** Roots that are of no image, kept as long as they are among this many. */
const MAX_KEPT = 8
const MAX_ENTRIES = 200_000
const FIXED_ID = 'c0fec0fe-c0fe-40fe-80fe-c0fec0fec0fe'
/** Lower folders, where to mount them, then the command. */
const SCRIPT = 'stack="$1"; root="$2"; shift 2; mount -t overlay -o "ro,lowerdir=$stack" overlay "$root" && exec "$@"'
const NEW = '.new-'

/** Gives an image's root as one erofs file; the image store's. */
export type ImageFile = (image: ImageId, signal: AbortSignal) => Promise<string>

/**
 * Roots as read-only erofs files. Those of images come from the image store; of other folders a file is made here, and
 * made anew when something in them has changed.
 */
export class RootFiles {
  readonly #folder: string
  readonly #imageFile: ImageFile | undefined
  readonly #making = new Map<string, Promise<string>>()

  constructor(folder: string, imageFile: ImageFile | undefined) {
    this.#folder = folder
    this.#imageFile = imageFile
  }

  /** Path of the file. `unsupported` with a fix where it cannot be made. */
  async of(root: TemplateRoot & { readonly kind: 'layers' }, signal: AbortSignal): Promise<string> {
    if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
    if (root.image !== undefined && this.#imageFile !== undefined) return await this.#imageFile(root.image, signal)
    const path = join(this.#folder, `${await keyOf(root.lower)}.erofs`)
    const made = await stat(path).catch(() => undefined)
    if (made !== undefined) {
      const now = new Date()
      await utimes(path, now, now).catch(() => undefined)
      return path
    }
    let making = this.#making.get(path)
    if (making === undefined) {
      making = this.#make(path, root.lower).finally(() => this.#making.delete(path))
      // Whoever has given up does not hear how it ends.
      making.catch(() => undefined)
      this.#making.set(path, making)
    }
    return await unlessAborted(making, signal)
  }

  /** Nothing is being made any more. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#making.values())
  }

  async #make(path: string, lower: readonly string[]): Promise<string> {
    const [mkfs, unshare] = await Promise.all([findProgram('mkfs.erofs', undefined), findProgram('unshare', undefined)])
    if (mkfs === undefined || unshare === undefined) {
      const name = mkfs === undefined ? 'mkfs.erofs' : 'unshare'
      const fix = `Install it: apt-get install ${mkfs === undefined ? 'erofs-utils' : 'util-linux'}.`
      throw new CoveError('unsupported', `${name} is not installed`, {}, { fix })
    }
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    await this.#prune()
    const aside = await mkdtemp(join(this.#folder, NEW))
    try {
      const file = join(aside, 'file')
      const [root, empty] = [join(aside, 'root'), join(aside, 'empty')]
      await mkdir(root)
      await mkdir(empty)
      const make = [mkfs, '-T', '1', '-U', FIXED_ID, file]
      const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', SOURCE_DATE_EPOCH: '1' }
      if (process.getuid?.() === 0) {
        // An overlay takes no less than two.
        const stack = [...lower, empty].map((folder) => folder.replaceAll(/([\\:,])/g, '\\$1')).join(':')
        await run(
          unshare,
          ['--mount', '--propagation', 'private', '/bin/sh', '-c', SCRIPT, 'sh', stack, root, ...make, root],
          {
            env,
          },
        )
      } else {
        const [only, ...others] = lower
        if (only === undefined || others.length > 0) {
          throw new CoveError(
            'unsupported',
            'only root can lay folders over each other',
            {},
            { fix: 'Run Cove as root.' },
          )
        }
        const [program = mkfs, ...args] = make
        await run(program, ['--all-root', ...args, only], { env })
      }
      await using handle = await open(file, 'r+')
      await handle.chmod(0o600)
      await handle.datasync()
      await rename(file, path)
      return path
    } catch (cause) {
      throw CoveError.from(cause, 'io-error')
    } finally {
      await rm(aside, { recursive: true, force: true })
    }
  }

  /** Machines have theirs open, and go on with what is removed. */
  async #prune(): Promise<void> {
    const names = await readdir(this.#folder)
    const kept: { path: string; usedMs: number }[] = []
    for (const name of names) {
      const path = join(this.#folder, name)
      const facts = await stat(path).catch(() => undefined)
      if (facts === undefined) continue
      if (facts.isFile()) kept.push({ path, usedMs: facts.mtimeMs })
      // What a dead daemon has begun.
      else if (Date.now() - facts.mtimeMs > 60 * 60 * 1000) await rm(path, { recursive: true, force: true })
    }
    const old = kept.toSorted((a, b) => b.usedMs - a.usedMs).slice(MAX_KEPT - 1)
    for (const { path } of old) await rm(path, { force: true })
  }
}

/** What the folders are and when something in them has changed last. */
async function keyOf(lower: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  let entries = 0
  const take = async (path: string): Promise<void> => {
    const { mode, uid, gid, size, ino, mtimeMs, ctimeMs } = await lstat(path)
    hash.update(JSON.stringify([path, mode, uid, gid, size, ino, mtimeMs, ctimeMs]))
    if ((entries += 1) > MAX_ENTRIES) {
      throw new CoveError('unsupported', `more than ${MAX_ENTRIES} files`, {}, { fix: 'Make an image of them.' })
    }
    if ((mode & 0o170000) !== 0o040000) return
    for (const name of (await readdir(path)).toSorted()) await take(join(path, name))
  }
  try {
    for (const folder of lower) await take(folder)
  } catch (cause) {
    throw CoveError.from(cause, 'io-error')
  }
  return hash.digest('hex').slice(0, 32)
}

/** What others wait for too goes on. */
async function unlessAborted(making: Promise<string>, signal: AbortSignal): Promise<string> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(CoveError.from(signal.reason, 'cancelled'))
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([making, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
