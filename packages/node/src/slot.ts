import type { CoveError, NodeSandbox, SandboxId } from '@cove/domain'
import type { Background } from './background.ts'
import type { GuestSession } from './guest-session.ts'
import { Leftovers } from './leftovers.ts'
import { isEndedRecord, isLiveRecord, type MachineRecord } from './machine-record.ts'
import type { SharedCreate } from './shared-create.ts'

/** Everything a node holds of one sandbox. What is done to it happens one after the other. */
export class Slot {
  readonly id: SandboxId
  readonly leftovers: Leftovers
  /** As it is in `node.db`, or about to be. */
  record: MachineRecord | undefined
  /** Present while the machine runs and its driver has been recovered. */
  session: GuestSession | undefined
  /** The last record of a sandbox that is destroyed but not gone yet. */
  doomed: MachineRecord | undefined
  readonly creates = new Map<number, SharedCreate>()
  #interrupt = new AbortController()
  #tail: Promise<void> = Promise.resolve()
  #pending = 0
  readonly #onVacant: () => void

  /** `onVacant` is called when nothing is left in the slot and nothing goes on. */
  constructor(id: SandboxId, background: Background, onVacant: () => void) {
    this.id = id
    this.#onVacant = onVacant
    this.leftovers = new Leftovers(background, `removing what is left of ${id}`, () => this.#settle())
  }

  /** Aborts when the sandbox is to be destroyed: a stop that is under way makes haste. */
  get interrupted(): AbortSignal {
    return this.#interrupt.signal
  }

  interrupt(): void {
    this.#interrupt.abort()
    this.#interrupt = new AbortController()
  }

  /** Ends every create that is under way or waits for its turn. */
  abortCreates(reason: CoveError): void {
    for (const create of this.creates.values()) create.abort(reason)
    this.creates.clear()
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    this.#pending++
    const result = this.#tail.then(work)
    this.#tail = result.then(
      () => this.#done(),
      () => this.#done(),
    )
    return result
  }

  /** Resolves when nothing that was begun is under way any more. */
  async idle(): Promise<void> {
    while (this.#pending > 0) await this.#tail
  }

  /** A copy of what is known; undefined when there is nothing any more. */
  describe(): NodeSandbox | undefined {
    if (this.record !== undefined) return describeRecord(this.record)
    if (this.doomed === undefined || this.leftovers.empty) return undefined
    const { exit, ...known } = describeRecord(this.doomed)
    return { ...known, state: 'ended', exit: exit ?? { kind: 'lost' } }
  }

  #done(): void {
    this.#pending--
    this.#settle()
  }

  #settle(): void {
    if (this.#pending === 0 && this.record === undefined && this.leftovers.empty) this.#onVacant()
  }
}

export function describeRecord(record: MachineRecord): NodeSandbox {
  return {
    id: record.sandbox,
    incarnation: record.incarnation,
    driver: record.driver,
    isolation: record.isolation,
    limits: record.limits.map((limit) => ({ ...limit })),
    state: isLiveRecord(record) && record.paused === true ? 'paused' : record.state,
    ...(isLiveRecord(record) && record.paused === true
      ? { pausedTo: record.suspended === undefined ? 'memory' : 'disk' }
      : {}),
    ...(isLiveRecord(record) && record.pooled === true ? { pooled: true } : {}),
    ...(isEndedRecord(record) ? { exit: { ...record.exit } } : {}),
  }
}
