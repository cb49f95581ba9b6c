import {
  CoveError,
  STORE_LIMITS,
  assertTransition,
  isLive,
  type Clock,
  type Compare,
  type KeyValue,
  type Log,
  type Op,
  type Sandbox,
  type SandboxId,
  type SandboxState,
  type SandboxStatus,
  type Store,
  type WatchBatch,
} from '@cove/domain'
import { followStore } from '../follow-store.ts'
import { changesOf, readStore } from '../read-store.ts'
import { SANDBOX_PREFIX, idempotencyKey, nameKey, slotKey, specKey, statusKey, tombstoneKey } from './keys.ts'
import { encodeRecord } from './records.ts'
import type { Entry, SandboxView } from './view.ts'

/** Attempts of a change that loses the race against another server or task before the caller hears of it. */
const ATTEMPTS = 8

/** Every write to the records of sandboxes goes through here: transaction first, then the view. */
export class Ledger {
  readonly view: SandboxView
  readonly #store: Store
  readonly #clock: Clock
  readonly #log: Log

  constructor(store: Store, view: SandboxView, clock: Clock, log: Log) {
    this.#store = store
    this.view = view
    this.#clock = clock
    this.#log = log
  }

  /** False when a compare failed; nothing has happened then. */
  async commit(compare: readonly Compare[], ops: readonly Op[]): Promise<boolean> {
    const { ok, revision } = await this.#store.txn(compare, ops)
    if (ok) this.view.apply(changesOf(ops, revision), revision)
    return ok
  }

  read(key: string): Promise<KeyValue | undefined> {
    return this.#store.get(key)
  }

  /** Reads one sandbox anew from the store; for what another server may have written a moment ago. */
  async refresh(id: SandboxId): Promise<Sandbox | undefined> {
    const [spec, status, tombstone] = await Promise.all([
      this.#store.get(specKey(id)),
      this.#store.get(statusKey(id)),
      this.#store.get(tombstoneKey(id)),
    ])
    const items = [spec, status, tombstone].filter((item) => item !== undefined)
    const newest = Math.max(0, ...items.map((item) => item.modRevision))
    this.view.apply(
      items.map((item) => ({ type: 'put', item })),
      newest,
    )
    return this.view.sandbox(id)
  }

  /**
   * Moves a sandbox to another state, from whatever state it is in when that is allowed (`wrong-state` if not).
   * Leaving the live states gives its slot and its name back in the same transaction.
   */
  async transition(
    id: SandboxId,
    to: SandboxState,
    patch: (entry: Entry) => Partial<SandboxStatus> = () => ({}),
    more: (entry: Entry) => readonly Op[] = () => [],
  ): Promise<Entry> {
    return this.#retry(id, async (entry) => {
      assertTransition(entry.status.state, to)
      const status: SandboxStatus = {
        ...(to === 'creating' || to === 'running' ? withoutReason(entry.status) : entry.status),
        ...patch(entry),
        state: to,
        changedAt: this.#clock.now(),
      }
      const ops: Op[] = [{ type: 'put', key: statusKey(id), value: encodeRecord(status) }, ...more(entry)]
      if (isLive(entry.status.state) && !isLive(to)) ops.push(...releaseReservation(entry))
      return this.commit([{ key: statusKey(id), modRevision: entry.statusRevision }], ops)
    })
  }

  /** Changes spec and status together without a change of state. */
  async amend(
    id: SandboxId,
    change: (entry: Entry) => { readonly spec: Entry['spec']; readonly status: SandboxStatus },
  ): Promise<Entry> {
    return this.#retry(id, (entry) => {
      const { spec, status } = change(entry)
      const idempotency = entry.idempotency === undefined ? {} : { idempotency: entry.idempotency }
      return this.commit(
        [
          { key: specKey(id), modRevision: entry.specRevision },
          { key: statusKey(id), modRevision: entry.statusRevision },
        ],
        [
          { type: 'put', key: specKey(id), value: encodeRecord({ spec, slot: entry.slot, ...idempotency }) },
          { type: 'put', key: statusKey(id), value: encodeRecord(status) },
        ],
      )
    })
  }

  /**
   * Ends the records: only a tombstone stays. Its environment is dropped, for it may hold secrets. From `creating`
   * this is the short way through `deleting` for a create that was refused.
   */
  async bury(id: SandboxId, patch: Partial<SandboxStatus> = {}, forgetKey = false): Promise<Sandbox> {
    const buried = await this.#retry(id, (entry) => {
      if (entry.status.state !== 'deleting') assertTransition(entry.status.state, 'deleting')
      assertTransition('deleting', 'deleted')
      const tombstone: Sandbox = {
        spec: { ...entry.spec, env: {} },
        status: { ...entry.status, ...patch, state: 'deleted', changedAt: this.#clock.now() },
      }
      const ops: Op[] = [
        { type: 'delete', key: specKey(id) },
        { type: 'delete', key: statusKey(id) },
        { type: 'put', key: tombstoneKey(id), value: encodeRecord(tombstone) },
      ]
      if (isLive(entry.status.state)) ops.push(...releaseReservation(entry))
      if (forgetKey) ops.push(...forgetIdempotency(entry))
      return this.commit([{ key: statusKey(id), modRevision: entry.statusRevision }], ops)
    })
    return this.view.sandbox(id) ?? buried
  }

  /** Removes keys that have had their time, many at once; whoever was faster is no error. */
  async expire(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += STORE_LIMITS.txnOps) {
      const batch = keys.slice(at, at + STORE_LIMITS.txnOps)
      await this.commit(
        [],
        batch.map((key) => ({ type: 'delete', key })),
      )
    }
  }

  /** Loads everything; returns the revision to watch from. */
  async load(): Promise<number> {
    const { items, revision } = await readStore(this.#store, SANDBOX_PREFIX)
    this.view.reset(items, revision)
    return revision
  }

  /** Follows what other servers write, until the signal aborts. */
  follow(loaded: number, signal: AbortSignal): Promise<void> {
    const followed = {
      store: this.#store,
      clock: this.#clock,
      log: this.#log,
      prefix: SANDBOX_PREFIX,
      what: 'sandboxes',
      apply: ({ changes, revision }: WatchBatch) => this.view.apply(changes, revision),
      load: () => this.load(),
    }
    return followStore(followed, loaded, signal)
  }

  async #retry(id: SandboxId, attempt: (entry: Entry) => Promise<boolean>): Promise<Entry> {
    for (let n = 0; n < ATTEMPTS; n++) {
      const entry = this.view.entry(id)
      if (entry === undefined) throw endedError(id, this.view.sandbox(id))
      if (await attempt(entry)) return this.view.entry(id) ?? entry
      await this.refresh(id)
    }
    throw new CoveError('store-conflict', `sandbox ${id} is being changed by too many at once`, { sandbox: id })
  }
}

/** What whoever asks for an ended sandbox is told. */
export function endedError(ref: string, ended: Sandbox | undefined): CoveError {
  if (ended === undefined) {
    return new CoveError('sandbox-gone', `sandbox ${ref} has ended`, { sandbox: ref })
  }
  const { reason = 'deleted', message } = ended.status
  const why = message === undefined ? '' : `: ${message}`
  return new CoveError('sandbox-gone', `sandbox ${ref} has ended (${reason})${why}`, { sandbox: ref, reason })
}

export function forgetIdempotency({ spec, idempotency }: Entry): readonly Op[] {
  return idempotency === undefined ? [] : [{ type: 'delete', key: idempotencyKey(spec.project, idempotency) }]
}

/** A sandbox that lives again has not ended: what ended or hindered it before is no longer true. */
function withoutReason({ reason: _reason, message: _message, ...status }: SandboxStatus): SandboxStatus {
  return status
}

function releaseReservation({ spec, slot }: Entry): readonly Op[] {
  const ops: Op[] = [{ type: 'delete', key: slotKey(spec.project, slot) }]
  if (spec.name !== undefined) ops.push({ type: 'delete', key: nameKey(spec.project, spec.name) })
  return ops
}
