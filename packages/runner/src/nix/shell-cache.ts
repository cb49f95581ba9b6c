import { constants } from 'node:fs'
import { access, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { randomId, type Random } from '@cove/domain'

const VERSION = 2
const NAME = 'nix-devshell.json'
const MOST_BYTES = 4 * 1024 * 1024

/** A materialized shell on disk: private, versioned, replaced in one step. Whatever is not right is not there. */
export class ShellCache {
  readonly path: string
  readonly #random: Random

  constructor(folder: string, random: Random) {
    this.path = join(folder, NAME)
    this.#random = random
  }

  async load(fingerprint: string): Promise<Readonly<Record<string, string>> | undefined> {
    try {
      const record: unknown = JSON.parse(await this.#read())
      if (!isRecord(record) || record.fingerprint !== fingerprint) return undefined
      // The store is cleared of what nobody refers to, and a cache is no reference.
      await Promise.all(record.folders.map((folder) => access(folder)))
      return record.env
    } catch {
      return undefined
    }
  }

  async save(fingerprint: string, env: Readonly<Record<string, string>>): Promise<void> {
    const folder = dirname(this.path)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const record: ShellRecord = { version: VERSION, fingerprint, env, folders: await foldersOf(env['PATH']) }
    const aside = join(folder, `.${NAME}.${randomId(this.#random)}`)
    try {
      // Values may hold what is nobody else's business, such as tokens that the flake sets.
      await using file = await open(aside, 'wx', 0o600)
      await file.writeFile(JSON.stringify(record))
      await file.sync()
      await rename(aside, this.path)
    } catch (error) {
      await rm(aside, { force: true })
      throw error
    }
  }

  /** What somebody else could have written would run as this user. */
  async #read(): Promise<string> {
    await using file = await open(this.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const { uid, mode, size } = await file.stat()
    const isOurs = uid === process.getuid?.() && (mode & constants.S_IFMT) === constants.S_IFREG && (mode & 0o022) === 0
    if (!isOurs || size > MOST_BYTES) throw new Error('it is not what was written here')
    return await file.readFile('utf8')
  }
}

interface ShellRecord {
  readonly version: typeof VERSION
  readonly fingerprint: string
  readonly env: Readonly<Record<string, string>>
  /** Those of the PATH that were there. */
  readonly folders: readonly string[]
}

function isRecord(value: unknown): value is ShellRecord {
  if (typeof value !== 'object' || value === null) return false
  const { version, fingerprint, env, folders } = value as Partial<Record<keyof ShellRecord, unknown>>
  if (version !== VERSION || typeof fingerprint !== 'string' || typeof env !== 'object' || env === null) return false
  return Array.isArray(folders) && folders.every(isText) && Object.values(env).every(isText)
}

const isText = (value: unknown): boolean => typeof value === 'string'

async function foldersOf(path = ''): Promise<readonly string[]> {
  const there: string[] = []
  for (const folder of new Set(path.split(':').filter(isAbsolute))) {
    try {
      await access(folder)
      there.push(folder)
    } catch {
      // It was not there to begin with.
    }
  }
  return there
}
