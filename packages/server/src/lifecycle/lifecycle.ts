import { CoveError, type NodeEvent, type Sandbox, type SandboxId } from '@cove/domain'
import type { Core } from '../sandboxes/core.ts'
import { Deadlines } from './deadlines.ts'
import { machineEnded } from './machine-ends.ts'
import { reconcile } from './reconcile.ts'
import { Sweeper } from './sweeper.ts'

/** The store is given this time to recover, for its disk is full or its other side away. */
const COMPARE_AGAIN_MS = 5_000

/** What happens to sandboxes without anybody asking: adoption, deadlines, crashes, sweeping. */
export class Lifecycle {
  readonly #core: Core
  readonly #deadlines: Deadlines
  readonly #sweeper: Sweeper
  readonly #ending = new AbortController()
  readonly #handling = new Set<Promise<void>>()
  /** Machines that ended before their sandbox was recorded as running. */
  readonly #early = new Map<SandboxId, NodeEvent>()
  #comparing = false
  #tasks: Promise<unknown>[] = []
  #reconciled: Promise<void> = Promise.resolve()

  constructor(core: Core) {
    this.#core = core
    this.#deadlines = new Deadlines(core)
    this.#sweeper = new Sweeper(core)
  }

  /** Settles when records and node agree. */
  get reconciled(): Promise<void> {
    return this.#reconciled
  }

  removalFailed(id: SandboxId): void {
    this.#deadlines.removalFailed(id)
  }

  /** Compares records and node again in a while, once for however many steps. */
  outcomeLost(): void {
    const { signal } = this.#ending
    if (this.#comparing || signal.aborted) return
    this.#comparing = true
    const again = async (): Promise<void> => {
      await this.#core.clock.sleep(COMPARE_AGAIN_MS, signal).catch(() => undefined)
      this.#comparing = false
      await this.#reconcileUntilDone(signal)
    }
    this.#track(again())
  }

  /** Loads the records, so that work can be taken; bringing the node in line with them goes on behind that. */
  async start(): Promise<void> {
    const { signal } = this.#ending
    const { ledger, view } = this.#core
    view.listen((sandbox) => this.#changed(sandbox))
    // Events first, then the records, then what the node holds: so nothing is missed.
    const watching = this.#watchNode(signal)
    const revision = await ledger.load()
    this.#reconciled = this.#reconcileUntilDone(signal)
    this.#tasks = [
      watching,
      ledger.follow(revision, signal),
      this.#reconciled.then(() => this.#deadlines.run(signal)),
      this.#sweeper.run(signal),
    ]
  }

  /** Lets steps under way end for up to `graceMs` milliseconds; the next start takes up what is left. */
  async close(graceMs: number): Promise<void> {
    this.#ending.abort(new CoveError('cancelled', 'the server is closing'))
    const { operations, clock } = this.#core
    const patience = new AbortController()
    const all = Promise.allSettled([...this.#tasks, ...this.#handling, this.#deadlines.settled(), operations.settled()])
    await Promise.race([all, clock.sleep(graceMs, patience.signal).catch(() => undefined)])
    patience.abort()
  }

  #changed(sandbox: Sandbox): void {
    this.#deadlines.consider(sandbox)
    this.#sweeper.consider()
    const early = this.#early.get(sandbox.spec.id)
    if (early === undefined || sandbox.status.state === 'creating') return
    this.#early.delete(sandbox.spec.id)
    this.#handle(early)
  }

  #handle(event: NodeEvent): void {
    const entry = this.#core.view.entry(event.id)
    if (entry?.status.state === 'creating' && entry.status.incarnation === event.incarnation) {
      this.#early.set(event.id, event)
      return
    }
    this.#track(machineEnded(this.#core, event.id, event.incarnation, event.exit))
  }

  async #watchNode(signal: AbortSignal): Promise<void> {
    const { node, clock, log } = this.#core
    for (let again = false; !signal.aborted; again = true) {
      try {
        const events = node.watch(signal)
        // What ended while nobody watched is found by comparing.
        if (again) this.#track(this.#reconcileUntilDone(signal))
        for await (const event of events) this.#handle(event)
      } catch (error) {
        if (signal.aborted) return
        log.warn('the watch on the node broke', { error: CoveError.from(error).message })
      }
      if (!signal.aborted) await clock.sleep(1_000, signal).catch(() => undefined)
    }
  }

  async #reconcileUntilDone(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#core
    while (!signal.aborted) {
      try {
        await reconcile(this.#core)
        return
      } catch (error) {
        log.warn('records and node could not be compared', { error: CoveError.from(error).message })
        await clock.sleep(1_000, signal).catch(() => undefined)
      }
    }
  }

  #track(task: Promise<void>): void {
    this.#handling.add(task)
    void task.finally(() => this.#handling.delete(task))
  }
}
