import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { CoveError } from '@cove/domain'
import type { StoreParts } from './parts.ts'

const run = promisify(execFile)
const SYNC_PROGRAMS = ['/usr/bin/sync', '/bin/sync']

/**
 * Brings layers to the disk after they have been made: nobody who fetches waits for that, since what a crash of the
 * machine takes is fetched again. Whoever is told that something is kept does wait.
 */
export class Settling {
  readonly #parts: StoreParts
  #now: Promise<void> | undefined
  #then: Promise<void> | undefined

  constructor(parts: StoreParts) {
    this.#parts = parts
  }

  /** Resolves when everything that was made before is on the disk, and the records say so. */
  async settle(): Promise<void> {
    if (this.#now !== undefined) {
      // One that runs may have begun too early for what is asked.
      this.#then ??= this.#after(this.#now)
      return await this.#then
    }
    this.#now = this.#run().finally(() => {
      this.#now = undefined
    })
    await this.#now
  }

  /** Resolves when whatever runs has ended. */
  async idle(): Promise<void> {
    await Promise.allSettled([this.#now, this.#then])
  }

  async #after(running: Promise<void>): Promise<void> {
    await Promise.allSettled([running])
    this.#then = undefined
    await this.settle()
  }

  async #run(): Promise<void> {
    const { catalog, folders, sync } = this.#parts
    const fresh = catalog.layers().filter(({ unsynced }) => unsynced !== undefined)
    if (fresh.length === 0) return
    await sync(folders.layers)
    await catalog.update((draft) => {
      for (const { number } of fresh) {
        const record = draft.layers.get(number)
        if (record === undefined) continue
        const { unsynced: _synced, ...rest } = record
        draft.layers.set(number, rest)
      }
    })
  }
}

export async function syncFileSystem(path: string): Promise<void> {
  let failure: unknown
  for (const program of SYNC_PROGRAMS) {
    try {
      await run(program, ['-f', path], { env: {} })
      return
    } catch (error) {
      failure = error
    }
  }
  throw CoveError.from(failure, 'io-error')
}
