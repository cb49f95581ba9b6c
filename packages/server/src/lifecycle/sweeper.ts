import { CoveError, type SandboxId } from '@cove/domain'
import type { Core } from '../sandboxes/core.ts'
import { tombstoneKey } from '../sandboxes/keys.ts'
import { remove } from '../sandboxes/remove.ts'

const EVERY_MS = 60_000

/** Takes away what has been remembered long enough: tombstones and idempotency keys, by age and by number. */
export class Sweeper {
  readonly #core: Core
  #wake = new AbortController()

  constructor(core: Core) {
    this.#core = core
  }

  /** Sweeps now if there is more than there may be. */
  consider(): void {
    const { view, limits } = this.#core
    if (view.tombstoneCount > limits.tombstones || view.idempotencyCount > limits.idempotencyKeys) this.#wake.abort()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#core
    while (!signal.aborted) {
      this.#wake = new AbortController()
      try {
        await this.#core.ledger.expire(outdated(this.#core))
        for (const id of surplusFailed(this.#core)) await remove(this.#core, id, 'deleted')
      } catch (error) {
        log.warn('sweeping failed', { error: CoveError.from(error).message })
        await clock.sleep(1_000, signal).catch(() => undefined)
      }
      await clock.sleep(EVERY_MS, AbortSignal.any([signal, this.#wake.signal])).catch(() => undefined)
    }
  }
}

/** Keys of what is too old, or the oldest of what is too much. */
export function outdated({ view, limits, clock }: Core): readonly string[] {
  const now = clock.now()
  const keys: string[] = []
  let surplus = surplusOf(view.tombstoneCount, limits.tombstones)
  for (const { spec, status } of view.tombstones()) {
    if (surplus <= 0 && status.changedAt + limits.tombstoneMs > now) break
    keys.push(tombstoneKey(spec.id))
    surplus--
  }
  surplus = surplusOf(view.idempotencyCount, limits.idempotencyKeys)
  for (const [key, expiresAt] of view.idempotencyKeys()) {
    if (surplus <= 0 && expiresAt > now) break
    keys.push(key)
    surplus--
  }
  return keys
}

/** Failed sandboxes hold no place in a quota, so their number is bounded here: the oldest go first. */
function surplusFailed({ view, limits }: Core): readonly SandboxId[] {
  const failed = [...view.entries()].filter(({ status }) => status.state === 'failed')
  failed.sort((a, b) => a.status.changedAt - b.status.changedAt)
  return failed.slice(0, Math.max(0, failed.length - limits.tombstones)).map(({ spec }) => spec.id)
}

/** Over the limit, a hundredth more than needed goes, so that not every new one costs a transaction. */
function surplusOf(count: number, limit: number): number {
  return count > limit ? count - limit + Math.floor(limit / 100) : 0
}
