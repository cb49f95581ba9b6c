import { DatabaseSync } from 'node:sqlite'
import { existsSync } from 'node:fs'
import { corrupt, Problem } from './problem.ts'
import { APPLICATION_ID, migrate, numberPragma, SCHEMA_VERSION } from './schema.ts'

export interface OpenDatabase {
  readonly db: DatabaseSync
  readonly migratedFrom: number | undefined
}

/** Opens, or makes, the file at `path`; throws what `problemOf` can name. */
export function openDatabase(path: string, durability: 'process' | 'power'): OpenDatabase {
  const fresh = !existsSync(path)
  const db = new DatabaseSync(path)
  try {
    // Before the first read: then SQLite holds the file's lock until it is closed, and needs no shared memory.
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY')
    const version = numberPragma(db, 'user_version')
    if (!fresh && numberPragma(db, 'application_id') !== APPLICATION_ID) {
      throw corrupt(path, 'it is not a store of Cove')
    }
    if (version > SCHEMA_VERSION) throw tooNew(path, version)
    if (version < SCHEMA_VERSION) migrate(db, version)
    db.exec('PRAGMA journal_mode = WAL')
    db.exec(`PRAGMA synchronous = ${durability === 'power' ? 'FULL' : 'NORMAL'}`)
    db.exec('BEGIN IMMEDIATE; COMMIT')
    return { db, migratedFrom: fresh || version === SCHEMA_VERSION ? undefined : version }
  } catch (error) {
    db.close()
    throw error
  }
}

function tooNew(path: string, version: number): Problem {
  return new Problem({
    code: 'store-too-new',
    message: `the store ${path} has version ${version}; this Cove knows versions up to ${SCHEMA_VERSION}`,
    context: { version, supported: SCHEMA_VERSION },
  })
}
