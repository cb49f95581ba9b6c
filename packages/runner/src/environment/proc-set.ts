import { CoveError } from '@cove/domain'
import type { Proc } from './proc.ts'
import type { StopOptions } from './runner-environment.ts'

/** The processes of an environment that may run. */
export class ProcSet {
  readonly #procs = new Set<Pick<Proc, 'stop'>>()

  /** Until the answer is called. */
  add(proc: Pick<Proc, 'stop'>): () => void {
    this.#procs.add(proc)
    return () => this.#procs.delete(proc)
  }

  /** Stops all of them at once; the first failure is thrown when all are through. */
  async stop(options?: StopOptions): Promise<void> {
    const answers = await Promise.allSettled([...this.#procs].map((proc) => proc.stop(options)))
    for (const answer of answers) if (answer.status === 'rejected') throw CoveError.from(answer.reason)
  }
}
