import { setTimeout as delay } from 'node:timers/promises'
import { CoveError } from '@cove/domain'

const LOOK_MS = 250
/** SQLITE_BUSY */
const BUSY = 5

/**
 * Does the work while nobody else who takes this file's lock does; waits for as long as the signal lets it. Node has no
 * locks of files; SQLite has, and the kernel lets go of them when their holder ends, however it ends.
 */
export async function withFileLock<T>(
  file: string,
  { signal, waiting }: { readonly signal: AbortSignal; readonly waiting: () => void },
  work: () => Promise<T>,
): Promise<T> {
  const { DatabaseSync } = await import('node:sqlite')
  using database = openDatabase(() => new DatabaseSync(file), file)
  for (let told = false; !tryLock(database); told = true) {
    if (!told) waiting()
    await delay(LOOK_MS, undefined, { signal })
  }
  return await work()
}

function openDatabase<Database>(open: () => Database, file: string): Database {
  try {
    return open()
  } catch (cause) {
    throw new CoveError(
      'permission-denied',
      `${file} may not be written`,
      { file },
      { cause, fix: 'Call as the user whom the folder belongs to, or name another with COVE_KERNEL_DIR.' },
    )
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
