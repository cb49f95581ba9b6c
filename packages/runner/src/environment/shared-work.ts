import { CoveError } from '@cove/domain'
import type { InitOptions } from './runner-environment.ts'

/** Work that is done once, however many ask for it: given up when the last of them has gone. */
export class SharedWork {
  readonly #work: (signal: AbortSignal, progress: (step: string) => void) => Promise<void>
  readonly #abort = new AbortController()
  readonly #listeners = new Set<(step: string) => void>()
  #result: Promise<void> | undefined
  #asking = 0

  constructor(work: (signal: AbortSignal, progress: (step: string) => void) => Promise<void>) {
    this.#work = work
  }

  async join({ signal, progress }: InitOptions = {}): Promise<void> {
    if (signal?.aborted === true) throw cancelled()
    this.#asking += 1
    if (progress !== undefined) this.#listeners.add(progress)
    const result = (this.#result ??= this.#work(this.#abort.signal, (step) => this.#tell(step)))
    const left = Promise.withResolvers<never>()
    const leave = (): void => {
      this.#asking -= 1
      // The last one waits until everything is undone.
      if (this.#asking === 0) this.#abort.abort()
      else left.reject(cancelled())
    }
    signal?.addEventListener('abort', leave, { once: true })
    try {
      await Promise.race([result, left.promise])
    } finally {
      signal?.removeEventListener('abort', leave)
      if (progress !== undefined) this.#listeners.delete(progress)
    }
  }

  /** Undoes it, if it is not done, for all who ask. */
  async cancel(): Promise<void> {
    this.#abort.abort()
    await this.#result?.catch(() => {})
  }

  #tell(step: string): void {
    for (const listener of this.#listeners) listener(step)
  }
}

function cancelled(): CoveError {
  return new CoveError('cancelled', 'getting the environment ready was cancelled')
}
