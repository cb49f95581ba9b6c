import { watch, type FSWatcher } from 'node:fs'

/** Where changes are not told, as on some network file systems, it is looked again. */
const LOOK_MS = 1000

/** Wakes whoever waits for something in a folder to change. */
export class FolderWatch implements Disposable {
  readonly #watcher: FSWatcher | undefined
  #changed = Promise.withResolvers<void>()

  constructor(folder: string) {
    try {
      this.#watcher = watch(folder, () => this.#tell())
      this.#watcher.on('error', () => this.#tell())
    } catch {
      this.#watcher = undefined
    }
  }

  /** Take it before looking: it resolves at the next change after that, or after a second, or when the signal aborts. */
  next(signal: AbortSignal): Promise<void> {
    const { promise } = this.#changed
    const { promise: other, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, LOOK_MS)
    const wake = (): void => resolve()
    if (signal.aborted) resolve()
    signal.addEventListener('abort', wake, { once: true })
    return Promise.race([promise, other]).finally(() => {
      clearTimeout(timer)
      signal.removeEventListener('abort', wake)
    })
  }

  [Symbol.dispose](): void {
    this.#watcher?.close()
  }

  #tell(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }
}
