import { chmodSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { CoveError } from '@cove/domain'

const WAIT_MS = 30_000
const LOOK_MS = 10
/** SQLITE_BUSY */
const BUSY = 5

/**
 * Does the work while nobody else who takes this file's lock does. Node has no locks of files; SQLite has, and the
 * kernel lets go of them when their holder ends, however it ends.
 */
export async function withFileLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const { DatabaseSync } = await import('node:sqlite')
  const database = new DatabaseSync(file)
  try {
    chmodSync(file, 0o600)
    const deadline = performance.now() + WAIT_MS
    while (!tryLock(database)) {
      if (performance.now() > deadline) {
        throw new CoveError('deadline-exceeded', `another cove has held ${file} for ${WAIT_MS / 1000} s`, { file })
      }
      await delay(LOOK_MS)
    }
    return await work()
  } finally {
    database.close()
  }
}

function tryLock(database: { exec(sql: string): void }): boolean {
  try {
    // Nothing of it is ever written, so that it works on a full disk too.
    database.exec('PRAGMA journal_mode = MEMORY')
    database.exec('BEGIN EXCLUSIVE')
    return true
  } catch (error) {
    if (error instanceof Error && 'errcode' in error && error.errcode === BUSY) return false
    throw CoveError.from(error, 'io-error')
  }
}
