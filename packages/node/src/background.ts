import { CoveError, type Clock, type Log } from '@cove/domain'

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 30_000

/** Work that nobody waits for, but that must come to its end: repeated with growing pauses until it succeeds. */
export class Background {
  readonly #clock: Clock
  readonly #log: Log
  readonly #signal: AbortSignal
  readonly #tasks = new Set<Promise<void>>()

  constructor(clock: Clock, log: Log, signal: AbortSignal) {
    this.#clock = clock
    this.#log = log
    this.#signal = signal
  }

  /**
   * Resolves when `work` has succeeded once. Tries once in any case; rejects only when that fails after the node
   * has closed.
   */
  untilDone(what: string, work: () => Promise<void>): Promise<void> {
    return this.track(this.#repeat(what, work))
  }

  /** Keeps hold of a promise until it settles. */
  track(task: Promise<void>): Promise<void> {
    const held = task.catch(() => {}).finally(() => this.#tasks.delete(held))
    this.#tasks.add(held)
    return task
  }

  /** Resolves as soon as nothing is under way. */
  async settled(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks)
  }

  async #repeat(what: string, work: () => Promise<void>): Promise<void> {
    let pause = FIRST_PAUSE_MS
    for (;;) {
      try {
        await work()
        return
      } catch (thrown) {
        if (this.#signal.aborted) throw thrown
        const error = CoveError.from(thrown)
        this.#log.warn(`${what} failed, trying again`, { code: error.code, error: error.message, pauseMs: pause })
      }
      await this.#clock.sleep(pause, this.#signal)
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
    }
  }
}
