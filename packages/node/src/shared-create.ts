import type { CoveError, NodeSandbox } from '@cove/domain'
import { abortable, abortError } from './wait.ts'

/** Progress listeners of one create; more than this is no honest use. */
const LISTENERS = 64

/** One create that several callers wait for. It is given up when the last of them has gone away. */
export class SharedCreate {
  readonly #giveUp = new AbortController()
  readonly #listeners = new Set<(step: string) => void>()
  readonly #result: Promise<NodeSandbox>
  #waiting = 0

  constructor(work: (signal: AbortSignal, progress: (step: string) => void) => Promise<NodeSandbox>) {
    this.#result = work(this.#giveUp.signal, (step) => {
      for (const listener of this.#listeners) listener(step)
    })
    this.#result.catch(() => {})
  }

  get givenUp(): boolean {
    return this.#giveUp.signal.aborted
  }

  /** Gives up for everybody, who are told this reason. */
  abort(reason: CoveError): void {
    this.#giveUp.abort(reason)
  }

  /** Rejects for a caller that cancels; for the last one only after everything is undone. */
  async wait(progress: ((step: string) => void) | undefined, signal: AbortSignal | undefined): Promise<NodeSandbox> {
    this.#waiting++
    if (progress !== undefined && this.#listeners.size < LISTENERS) this.#listeners.add(progress)
    try {
      return structuredClone(await abortable(this.#result, signal))
    } catch (error) {
      if (signal?.aborted === true && this.#waiting === 1) {
        this.#giveUp.abort(abortError(signal))
        await this.#result.catch(() => {})
      }
      throw error
    } finally {
      this.#waiting--
      if (progress !== undefined) this.#listeners.delete(progress)
    }
  }
}
