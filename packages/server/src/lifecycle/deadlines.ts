import { CoveError, type EndReason, type Sandbox, type SandboxId } from '@cove/domain'
import type { Core } from '../sandboxes/core.ts'
import { pause, resume } from '../sandboxes/pause.ts'
import { remove } from '../sandboxes/remove.ts'
import { DueHeap } from './due-heap.ts'
import { nextDue, whyEnded } from './due.ts'

/** The wall clock may jump, so nobody sleeps longer than this before looking again. */
const LONGEST_SLEEP_MS = 60_000
/** Removals under way at once. */
const PARALLEL = 16

/**
 * Ends sandboxes in time: one heap and one sleeper for all of them. Activity is not told to the heap; when a
 * sandbox comes up, its due time is computed anew, and it goes back when it was used meanwhile.
 */
export class Deadlines {
  readonly #core: Core
  readonly #heap = new DueHeap<SandboxId>()
  readonly #retries = new Map<SandboxId, { readonly at: number; readonly attempts: number }>()
  readonly #running = new Set<Promise<void>>()
  #wake = new AbortController()

  constructor(core: Core) {
    this.#core = core
  }

  /** A sandbox was made, changed or ended. */
  consider(sandbox: Sandbox): void {
    const { id } = sandbox.spec
    const before = this.#heap.next()
    const at = this.#dueAt(sandbox)
    if (at === undefined) this.#heap.delete(id)
    else this.#heap.set(id, at)
    if (sandbox.status.state === 'deleted') this.#retries.delete(id)
    if (at !== undefined && at < (before ?? Infinity)) this.#wake.abort()
  }

  /** The removal of this one failed: it is tried again, each time later, a minute at most. */
  removalFailed(id: SandboxId): void {
    const attempts = (this.#retries.get(id)?.attempts ?? 0) + 1
    const delay = Math.min(60_000, 500 * 2 ** Math.min(attempts, 10))
    this.#retries.set(id, { at: this.#core.clock.now() + delay, attempts })
    const entry = this.#core.view.entry(id)
    if (entry !== undefined) this.consider(entry)
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#core
    while (!signal.aborted) {
      this.#wake = new AbortController()
      this.#endDue()
      if (this.#running.size >= PARALLEL) {
        await Promise.race(this.#running)
        continue
      }
      const next = this.#heap.next()
      const wait = next === undefined ? LONGEST_SLEEP_MS : Math.min(LONGEST_SLEEP_MS, Math.max(1, next - clock.now()))
      await clock.sleep(wait, AbortSignal.any([signal, this.#wake.signal])).catch(() => undefined)
    }
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running)
  }

  #endDue(): void {
    const { clock, view, activity, log } = this.#core
    while (this.#running.size < PARALLEL) {
      const id = this.#heap.take(clock.now())
      if (id === undefined) return
      const entry = view.entry(id)
      if (entry === undefined) continue
      const at = this.#dueAt(entry)
      if (at !== undefined && at > clock.now()) {
        this.#heap.set(id, at)
        continue
      }
      const { reason, message } = whyEnded(entry, clock.now())
      const pauses = reason === 'idle' && entry.spec.onIdle === 'pause'
      log.info('a sandbox has had its time', { sandbox: id, reason, idleMs: Math.round(activity.idleFor(id)) })
      const ending = (pauses ? this.#pause(id) : this.#end(id, reason, message)).finally(() => {
        this.#running.delete(ending)
        this.#wake.abort()
      })
      this.#running.add(ending)
    }
  }

  async #end(id: SandboxId, reason: EndReason, message: string): Promise<void> {
    try {
      await remove(this.#core, id, reason, message)
    } catch (error) {
      const { code, message: problem } = CoveError.from(error)
      this.#core.log.warn('a sandbox could not be removed; it is tried again', { sandbox: id, code, error: problem })
      // A removal that failed before it was recorded has to come up again too.
      if (this.#core.view.entry(id)?.status.state !== 'deleting') this.removalFailed(id)
    }
  }

  /** To disk where that can be done, else where it is; one that cannot be paused at all is asked again later. */
  async #pause(id: SandboxId): Promise<void> {
    try {
      await pause(this.#core, id, { to: 'disk' }).catch(async (error: unknown) => {
        if (CoveError.from(error).code !== 'unsupported') throw error
        return await pause(this.#core, id)
      })
      // Somebody came while it was being paused.
      if (this.#core.activity.idleFor(id) === 0) await resume(this.#core, id)
    } catch (error) {
      const { code, message: problem } = CoveError.from(error)
      this.#core.log.warn('an idle sandbox could not be paused', { sandbox: id, code, error: problem })
      // Its next idle time begins now.
      this.#core.activity.touch(id)
    }
    const entry = this.#core.view.entry(id)
    if (entry !== undefined) this.consider(entry)
  }

  #dueAt(sandbox: Sandbox): number | undefined {
    const { clock, activity, limits, operations } = this.#core
    const { id } = sandbox.spec
    const retry = this.#retries.get(id)
    if (retry !== undefined && sandbox.status.state === 'deleting') return retry.at
    if (operations.isRunning('remove', id)) return undefined
    const due = nextDue(sandbox, { now: clock.now(), idleFor: activity.idleFor(id), failedMs: limits.tombstoneMs })
    return due === undefined || retry === undefined ? due : Math.max(due, retry.at)
  }
}
