import { DatabaseSync } from 'node:sqlite'
import { readdirSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { createFile } from './create-file.ts'
import { asidePrefix, inspectFile } from './inspect-file.ts'
import { migrate, SCHEMA_VERSION } from './schema.ts'

export interface OpenDatabase {
  readonly db: DatabaseSync
  readonly migratedFrom: number | undefined
}

/** Pages in the log until they are carried over into the file, which waits for the disk: seldom, but not for long. */
const LOG_PAGES = 4000
/** A large group makes the log larger for a while; afterwards it is cut to this. */
const LOG_BYTES = 20 * 1024 * 1024

/** Past this age, what lies beside the file belongs to a process that was killed. */
const LEFTOVER_MS = 60_000

/** Opens, or makes, the file and holds its lock; throws what `problemOf` can name. */
export function openDatabase(file: string, durability: 'process' | 'power'): OpenDatabase {
  if (statSync(file, { throwIfNoEntry: false }) === undefined) createFile(file)
  const version = inspectFile(file)
  const db = new DatabaseSync(file)
  try {
    // Before the first read: then SQLite holds the file's lock until it is closed, and needs no shared memory.
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY')
    if (version < SCHEMA_VERSION) {
      // Not through the write-ahead log, so that the file's own header always tells the version.
      db.exec('PRAGMA journal_mode = DELETE')
      migrate(db, version)
    }
    db.exec(
      `PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = ${LOG_PAGES}; PRAGMA journal_size_limit = ${LOG_BYTES}; PRAGMA synchronous = ${durability === 'power' ? 'FULL' : 'NORMAL'}`,
    )
    db.exec('BEGIN IMMEDIATE; COMMIT')
    sweep(file)
    return { db, migratedFrom: version < SCHEMA_VERSION ? version : undefined }
  } catch (error) {
    db.close()
    throw error
  }
}

function sweep(file: string): void {
  const directory = path.dirname(file)
  const prefixes = (['check', 'new'] as const).map((what) => path.basename(asidePrefix(file, what)))
  for (const name of readdirSync(directory)) {
    if (!prefixes.some((prefix) => name.startsWith(prefix))) continue
    const leftover = path.join(directory, name)
    const stat = statSync(leftover, { throwIfNoEntry: false })
    if (stat !== undefined && Date.now() - stat.mtimeMs > LEFTOVER_MS)
      rmSync(leftover, { recursive: true, force: true })
  }
}
