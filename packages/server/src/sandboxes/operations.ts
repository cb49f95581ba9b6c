import type { Sandbox, SandboxId } from '@cove/domain'

export type OperationKind = 'make' | 'start' | 'stop' | 'pause' | 'resume' | 'remove'

interface Operation {
  readonly controller: AbortController
  readonly result: Promise<Sandbox>
}

/** The long steps under way per sandbox: asked for twice they run once, and a removal can end a making. */
export class Operations {
  readonly #running = new Map<string, Operation>()

  /** Runs it, or joins the one of the same kind that runs already. */
  run(kind: OperationKind, id: SandboxId, step: (signal: AbortSignal) => Promise<Sandbox>): Promise<Sandbox> {
    const key = `${kind}/${id}`
    const running = this.#running.get(key)
    if (running !== undefined) return running.result
    const controller = new AbortController()
    const result = step(controller.signal).finally(() => this.#running.delete(key))
    this.#running.set(key, { controller, result })
    return result
  }

  isRunning(kind: OperationKind, id: SandboxId): boolean {
    return this.#running.has(`${kind}/${id}`)
  }

  /** The result of the one that runs, if there is one. */
  join(kind: OperationKind, id: SandboxId): Promise<Sandbox> | undefined {
    return this.#running.get(`${kind}/${id}`)?.result
  }

  /** Ends it, if it runs, and waits until it has let go. */
  async abort(kind: OperationKind, id: SandboxId, reason: Error): Promise<void> {
    const operation = this.#running.get(`${kind}/${id}`)
    if (operation === undefined) return
    operation.controller.abort(reason)
    await operation.result.catch(() => undefined)
  }

  /** Waits for everything that runs now. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#running.values()].map(({ result }) => result))
  }
}
