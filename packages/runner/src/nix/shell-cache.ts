import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { randomId, type Random } from '@cove/domain'

const VERSION = 1
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
      const text = await readFile(this.path, 'utf8')
      if (text.length > MOST_BYTES) return undefined
      const record: unknown = JSON.parse(text)
      if (!isRecord(record) || record.fingerprint !== fingerprint) return undefined
      return record.env
    } catch {
      return undefined
    }
  }

  async save(fingerprint: string, env: Readonly<Record<string, string>>): Promise<void> {
    const folder = dirname(this.path)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const aside = join(folder, `.${NAME}.${randomId(this.#random)}`)
    try {
      // Values may hold what is nobody else's business, such as tokens that the flake sets.
      await using file = await open(aside, 'wx', 0o600)
      await file.writeFile(JSON.stringify({ version: VERSION, fingerprint, env }))
      await file.sync()
      await rename(aside, this.path)
    } catch (error) {
      await rm(aside, { force: true })
      throw error
    }
  }
}

interface ShellRecord {
  readonly version: typeof VERSION
  readonly fingerprint: string
  readonly env: Readonly<Record<string, string>>
}

function isRecord(value: unknown): value is ShellRecord {
  if (typeof value !== 'object' || value === null) return false
  const { version, fingerprint, env } = value as Partial<Record<keyof ShellRecord, unknown>>
  if (version !== VERSION || typeof fingerprint !== 'string' || typeof env !== 'object' || env === null) return false
  return Object.values(env).every((text) => typeof text === 'string')
}
