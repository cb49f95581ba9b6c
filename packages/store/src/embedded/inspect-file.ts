import { DatabaseSync } from 'node:sqlite'
import { accessSync, constants, linkSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { corrupt, Problem } from './problem.ts'
import { APPLICATION_ID, numberPragma, SCHEMA_VERSION } from './schema.ts'

/** The whole structure of larger files is not read at start: that would cost more than the promise of readiness. */
const QUICK_CHECK_BYTES = 64 * 1024 * 1024

/** What SQLite may keep beside the file. */
const COMPANIONS = ['-wal', '-journal']

/**
 * Looks at an existing file without changing a byte, takes its lock for that moment, and answers with its schema
 * version; throws when it is locked, damaged or too new.
 *
 * SQLite writes even when it is only asked to look: it makes a write-ahead log, or carries a left one over when it
 * closes. So it is shown hard links in a directory of their own. Locks belong to the file and hold under every name,
 * but a file whose name is gone when it is closed is left as it is.
 */
export function inspectFile(file: string): number {
  const { size } = regularFile(file)
  // A log that was left holds pages which the file may have only in part yet.
  const hasLog = (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0
  const links = linkAside(file)
  // Without hard links the look happens in place; what SQLite finds there is then repaired or refused the same way.
  const db = new DatabaseSync(links === undefined ? file : path.join(links, 'store'))
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY')
    const version = numberPragma(db, 'user_version')
    if (numberPragma(db, 'application_id') !== APPLICATION_ID || version < 1) {
      throw corrupt(file, 'it is not a store of Cove')
    }
    if (version > SCHEMA_VERSION) throw tooNew(file, version)
    if (!hasLog && size % numberPragma(db, 'page_size') !== 0) throw corrupt(file, 'its last page is cut')
    if (size <= QUICK_CHECK_BYTES) quickCheck(db, file)
    if (version === SCHEMA_VERSION) checkRevisions(db, file)
    return version
  } finally {
    if (links !== undefined) rmSync(links, { recursive: true, force: true })
    db.close()
  }
}

/** Name of a directory of links, or of a file in the making, beside the store. */
export function asidePrefix(file: string, what: 'check' | 'new'): string {
  return `${file}.${what}-`
}

function regularFile(file: string): { readonly size: number } {
  const stat = statSync(file)
  if (!stat.isFile()) throw corrupt(file, stat.isDirectory() ? 'it is a directory' : 'it is not a regular file')
  if (stat.size === 0) throw corrupt(file, 'it is empty')
  accessSync(file, constants.R_OK | constants.W_OK)
  return { size: stat.size }
}

function linkAside(file: string): string | undefined {
  let directory: string | undefined
  try {
    directory = mkdtempSync(asidePrefix(file, 'check'))
    linkSync(file, path.join(directory, 'store'))
    for (const companion of COMPANIONS) linkIfThere(file + companion, path.join(directory, `store${companion}`))
    return directory
  } catch {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
    return undefined
  }
}

function linkIfThere(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
}

function quickCheck(db: DatabaseSync, file: string): void {
  const finding = db.prepare('PRAGMA quick_check(1)').get()?.['quick_check']
  if (finding !== 'ok') throw corrupt(file, String(finding ?? 'the check of its structure gave no answer'))
}

/** What `quick_check` cannot know: nothing in the log is newer than the store. */
function checkRevisions(db: DatabaseSync, file: string): void {
  const row = db
    .prepare(
      `SELECT (SELECT value FROM meta WHERE name = 'revision') AS revision,
              (SELECT value FROM meta WHERE name = 'compacted') AS compacted,
              (SELECT rev FROM log ORDER BY id DESC LIMIT 1) AS logged`,
    )
    .get()
  const { revision, compacted, logged } = row ?? {}
  const sound = typeof revision === 'number' && typeof compacted === 'number' && compacted <= revision
  if (!sound || (typeof logged === 'number' && logged > revision))
    throw corrupt(file, 'its revisions do not fit together')
}

function tooNew(file: string, version: number): Problem {
  return new Problem({
    code: 'store-too-new',
    message: `the store ${file} has version ${version}; this Cove knows versions up to ${SCHEMA_VERSION}`,
    context: { version, supported: SCHEMA_VERSION },
  })
}
