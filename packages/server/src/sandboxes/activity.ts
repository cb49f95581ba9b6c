import type { Clock, SandboxId } from '@cove/domain'

/**
 * When each sandbox was last used, in memory only: after a restart the idle clocks start again. Calls and
 * attached streams on the data path count; a held one counts until it is let go.
 */
export class Activity {
  readonly #clock: Clock
  readonly #startedAt: number
  readonly #last = new Map<SandboxId, number>()
  readonly #held = new Map<SandboxId, number>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#startedAt = clock.monotonic()
  }

  touch(id: SandboxId): void {
    this.#last.set(id, this.#clock.monotonic())
  }

  /** Counts as activity until the returned function is called; calling it twice is fine. */
  hold(id: SandboxId): () => void {
    this.touch(id)
    this.#held.set(id, (this.#held.get(id) ?? 0) + 1)
    let released = false
    return () => {
      if (released) return
      released = true
      const left = (this.#held.get(id) ?? 1) - 1
      if (left > 0) this.#held.set(id, left)
      else this.#held.delete(id)
      // Whoever has ended meanwhile stays forgotten.
      if (this.#last.has(id)) this.touch(id)
    }
  }

  /** Milliseconds since the last activity; 0 while something is held. */
  idleFor(id: SandboxId): number {
    if (this.#held.has(id)) return 0
    return this.#clock.monotonic() - (this.#last.get(id) ?? this.#startedAt)
  }

  forget(id: SandboxId): void {
    this.#last.delete(id)
  }
}
