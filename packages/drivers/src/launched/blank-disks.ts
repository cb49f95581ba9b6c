import { randomUUID } from 'node:crypto'
import { chmod, chown, mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { removeTree } from '../host/remove-tree.ts'
import { LAYER_FOLDERS } from './disk-image.ts'

/**
 * Folders of disks that nobody has used yet, made ahead: a folder on a journaling file system takes a fifth of a
 * millisecond, and a disk has five of them. What a dead daemon has left is removed at the start.
 */
export class BlankDisks {
  readonly #folder: string
  readonly #size: number
  readonly #ready: string[] = []
  #filling: Promise<void> = Promise.resolve()
  #closed = false

  private constructor(folder: string, size: number) {
    this.#folder = folder
    this.#size = size
  }

  static async open(folder: string, size: number): Promise<BlankDisks> {
    await removeTree(folder)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const blanks = new BlankDisks(folder, size)
    blanks.#refill()
    return blanks
  }

  /** Moves one to `path` and gives its layers to `owner`; false when there is none, and nothing has been done. */
  async place(path: string, owner: number): Promise<boolean> {
    const blank = this.#ready.pop()
    this.#refill()
    if (blank === undefined) return false
    await Promise.all(LAYER_FOLDERS.map((name) => chown(join(blank, name), owner, owner)))
    await rename(blank, path)
    return true
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#filling
    await removeTree(this.#folder)
  }

  #refill(): void {
    this.#filling = this.#fillAfter(this.#filling)
  }

  async #fillAfter(earlier: Promise<void>): Promise<void> {
    await earlier
    while (!this.#closed && this.#ready.length < this.#size) {
      const blank = join(this.#folder, randomUUID())
      try {
        await mkdir(blank, { mode: 0o700 })
        for (const name of LAYER_FOLDERS) {
          await mkdir(join(blank, name))
          // Whatever the umask of the daemon is: everybody inside walks through these.
          await chmod(join(blank, name), 0o755)
        }
      } catch {
        // A disk that is made the slow way tells what is wrong.
        return
      }
      this.#ready.push(blank)
    }
  }
}
