import { keepFile, type KeptFile } from '@cove/images'

interface Kept {
  readonly file: Promise<KeptFile>
  users: number
  timer: NodeJS.Timeout | undefined
}

/** Long enough for the forks that come one after the other. */
const IDLE_MS = 10_000

/**
 * Memories of saved machines that others are being made of: each once, sealed, so that those machines share it and none
 * can change it for the others. Machines keep what they have mapped.
 */
export class KeptMemories implements AsyncDisposable {
  readonly #program: string
  readonly #kept = new Map<string, Kept>()

  constructor(program: string) {
    this.#program = program
  }

  /** Where the memory in a file can be opened until the result is disposed of. */
  async hold(file: string): Promise<{ readonly path: string } & Disposable> {
    const kept = this.#of(file)
    clearTimeout(kept.timer)
    kept.users++
    try {
      const { path } = await kept.file
      let open = true
      return {
        path,
        [Symbol.dispose]: () => {
          if (open) this.#release(file, kept)
          open = false
        },
      }
    } catch (error) {
      this.#release(file, kept)
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#kept].map(([file, kept]) => this.#forget(file, kept)))
  }

  #of(file: string): Kept {
    const known = this.#kept.get(file)
    if (known !== undefined) return known
    const kept: Kept = { file: keepFile(this.#program, file), users: 0, timer: undefined }
    this.#kept.set(file, kept)
    kept.file.then(
      // What has ended by itself is made anew by whoever needs it next.
      ({ ended }) => ended.then(() => this.#forget(file, kept)),
      () => this.#forget(file, kept),
    )
    return kept
  }

  #release(file: string, kept: Kept): void {
    kept.users--
    if (kept.users > 0) return
    kept.timer = setTimeout(() => void this.#forget(file, kept), IDLE_MS)
    kept.timer.unref()
  }

  async #forget(file: string, kept: Kept): Promise<void> {
    clearTimeout(kept.timer)
    if (this.#kept.get(file) === kept) this.#kept.delete(file)
    const held = await kept.file.catch(() => undefined)
    await held?.[Symbol.asyncDispose]()
  }
}
