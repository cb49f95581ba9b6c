import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, chmod, mkdir, open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CoveError } from '@cove/domain'
import { copyTree } from './copy-tree.ts'

const run = promisify(execFile)

const FOLDERS = ['/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/local/bin']
const TOOL_MS = 120_000
/** Files of a volume without a size that are counted; more than these are told as these. */
const MAX_COUNTED = 200_000
const BLOCK_BYTES = 512
/** Everybody inside may write, whoever they are: the sandbox's owner decides who gets the volume. */
const ROOT_MODE = 0o777

/**
 * What one volume is on the host: a folder, or a file system of a size in a file of its own that is mounted there
 * while machines use it.
 */
export class VolumeDisk {
  readonly folder: string
  /** What machines are shown. */
  readonly data: string
  readonly #image: string

  constructor(folder: string) {
    this.folder = folder
    this.data = join(folder, 'data')
    this.#image = join(folder, 'disk.img')
  }

  /** Whether this host can give volumes a size, and why not. */
  static async sizeProblem(): Promise<string | undefined> {
    if (process.getuid?.() !== 0) return 'only root can mount a file system of that size'
    for (const name of ['mkfs.ext4', 'mount', 'umount']) {
      if ((await findTool(name)) === undefined) return `${name} is not installed`
    }
    return undefined
  }

  async make(bytes: number | undefined): Promise<void> {
    await mkdir(this.data, { recursive: true, mode: 0o700 })
    await chmod(this.data, ROOT_MODE)
    if (bytes === undefined) return
    const aside = `${this.#image}.new`
    const file = await open(aside, 'wx', 0o600)
    try {
      await file.truncate(bytes)
    } finally {
      await file.close()
    }
    await tool('mkfs.ext4', ['-q', '-F', '-m', '0', '-E', 'nodiscard,lazy_itable_init=1,root_owner=0:0', aside])
    await rename(aside, this.#image)
    await this.mount()
    await rm(join(this.data, 'lost+found'), { recursive: true, force: true })
    await chmod(this.data, ROOT_MODE)
    await this.unmount()
  }

  /** Does nothing for a folder, and when it is mounted already. */
  async mount(): Promise<void> {
    if (!(await this.#hasImage()) || (await isMounted(this.data))) return
    // Whoever is root inside of a machine has no business with devices or with other users' rights on the host.
    await tool('mount', ['-t', 'ext4', '-o', 'loop,nosuid,nodev,noatime', this.#image, this.data])
  }

  /** Idempotent. */
  async unmount(): Promise<void> {
    if (await isMounted(this.data)) await tool('umount', [this.data])
  }

  /** A daemon that was killed in the middle of a copy leaves it frozen, and whoever writes to it waits for ever. */
  async thaw(): Promise<void> {
    if (!(await this.#hasImage()) || !(await isMounted(this.data))) return
    // It says that it is not frozen where it is not.
    await tool('fsfreeze', ['--unfreeze', this.data]).catch(() => undefined)
  }

  /** The same content in a folder of its own, as it is at one moment where it is a file system of its own. */
  async copyTo(target: VolumeDisk, signal: AbortSignal): Promise<void> {
    await mkdir(target.folder, { recursive: true, mode: 0o700 })
    if (!(await this.#hasImage())) {
      await mkdir(target.data, { mode: 0o700 })
      await copyTree(await placeOf('tar'), this.data, target.data, signal)
      return
    }
    await mkdir(target.data, { mode: 0o700 })
    const aside = `${target.#image}.new`
    await using frozen = (await isMounted(this.data)) ? await freeze(this.data) : undefined
    void frozen
    await tool('cp', ['--reflink=auto', '--sparse=always', '--', this.#image, aside], signal)
    await rename(aside, target.#image)
  }

  async usedBytes(): Promise<number> {
    if (!(await this.#hasImage())) return await sizeOfFolder(this.data)
    if (await isMounted(this.data)) {
      const { blocks, bfree, bsize } = await statfs(this.data)
      return (blocks - bfree) * bsize
    }
    return (await stat(this.#image)).blocks * BLOCK_BYTES
  }

  /** Idempotent. */
  async remove(): Promise<void> {
    await this.unmount()
    await rm(this.folder, { recursive: true, force: true })
  }

  async #hasImage(): Promise<boolean> {
    return await exists(this.#image)
  }
}

/** Nothing is written to the file system until this is disposed; what was, is on its disk. */
async function freeze(path: string): Promise<AsyncDisposable> {
  await tool('fsfreeze', ['--freeze', path])
  return {
    async [Symbol.asyncDispose]() {
      await tool('fsfreeze', ['--unfreeze', path])
    },
  }
}

/** By the kernel's own list: one line for each mount, the fifth word is where. */
async function isMounted(path: string): Promise<boolean> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8')
  return mounts.split('\n').some((line) => line.split(' ')[4]?.replaceAll('\\040', ' ') === path)
}

async function sizeOfFolder(root: string): Promise<number> {
  let bytes = 0
  let counted = 0
  const waiting = [root]
  for (let folder = waiting.pop(); folder !== undefined && counted < MAX_COUNTED; folder = waiting.pop()) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
    for (const entry of entries) {
      if (++counted >= MAX_COUNTED) break
      const path = join(folder, entry.name)
      if (entry.isDirectory()) waiting.push(path)
      else if (entry.isFile()) bytes += ((await stat(path).catch(() => undefined))?.blocks ?? 0) * BLOCK_BYTES
    }
  }
  return bytes
}

/** Ends with the signal where there is one, else when it takes too long. */
async function tool(name: string, args: readonly string[], signal?: AbortSignal): Promise<void> {
  const program = await placeOf(name)
  try {
    const ends = signal === undefined ? { timeout: TOOL_MS } : { signal }
    await run(program, [...args], { env: { PATH: FOLDERS.join(':') }, ...ends })
  } catch (cause) {
    if (signal?.aborted === true) throw CoveError.from(signal.reason, 'cancelled')
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim().slice(-300) : String(cause)
    const full = /no space left/i.test(said)
    throw new CoveError(full ? 'no-space' : 'driver-failed', `${name}: ${said}`, { program: name }, { cause })
  }
}

async function placeOf(name: string): Promise<string> {
  const program = await findTool(name)
  if (program !== undefined) return program
  throw new CoveError('driver-failed', `${name} is not installed`, { program: name }, { fix: `Install ${name}.` })
}

/** Fixed places, so that the caller's PATH decides nothing. */
async function findTool(name: string): Promise<string | undefined> {
  for (const folder of FOLDERS) {
    const path = join(folder, name)
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  return undefined
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
