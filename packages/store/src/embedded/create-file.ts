import { DatabaseSync } from 'node:sqlite'
import { closeSync, fsyncSync, linkSync, openSync, rmSync } from 'node:fs'
import path from 'node:path'
import { asidePrefix } from './inspect-file.ts'
import { migrate } from './schema.ts'

/**
 * Makes an empty store under another name and then links it into place: whoever sees the file sees a whole one, and
 * of two that make it at the same time one wins and both go on with its file.
 */
export function createFile(file: string): void {
  const draft = `${asidePrefix(file, 'new')}${process.pid}-${process.hrtime.bigint().toString(36)}`
  try {
    closeSync(openSync(draft, 'wx', 0o600))
    const db = new DatabaseSync(draft)
    try {
      db.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = FULL')
      migrate(db, 0)
    } finally {
      db.close()
    }
    linkUnlessThere(draft, file)
  } finally {
    rmSync(draft, { force: true })
  }
  const directory = openSync(path.dirname(file), 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

function linkUnlessThere(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}
