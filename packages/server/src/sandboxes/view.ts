import {
  isLive,
  type Change,
  type KeyValue,
  type Sandbox,
  type SandboxId,
  type SandboxSpec,
  type SandboxStatus,
} from '@cove/domain'
import { kindOfKey } from './keys.ts'
import { NewestFirst } from './newest-first.ts'
import { decodeIdempotency, decodeSpec, decodeStatus, decodeTombstone } from './records.ts'

/** One sandbox that has not ended, with the revisions that its next change has to compare. */
export interface Entry {
  readonly spec: SandboxSpec
  readonly status: SandboxStatus
  readonly slot: number
  readonly idempotency: string | undefined
  readonly specRevision: number
  readonly statusRevision: number
}

export type ViewListener = (sandbox: Sandbox) => void

interface Parts {
  spec?: { spec: SandboxSpec; slot: number; idempotency: string | undefined; revision: number }
  status?: { status: SandboxStatus; revision: number }
}

/** Ended sandboxes whose tombstones are gone too: enough to say "gone" for a while instead of "not found". */
const GONE_REMEMBERED = 20_000

/**
 * The store's records of sandboxes, held in memory. It is fed by every transaction of this server at once and by
 * the store's watch with those of others; both ways lead here, and a revision that is known already changes
 * nothing, so order and repetition do not matter.
 */
export class SandboxView {
  readonly #parts = new Map<SandboxId, Parts>()
  readonly #live = new Map<SandboxId, Entry>()
  readonly #tombstones = new Map<SandboxId, Sandbox>()
  readonly #gone = new Set<string>()
  readonly #order = new NewestFirst()
  readonly #names = new Map<string, SandboxId>()
  readonly #slots = new Map<string, Map<number, SandboxId>>()
  readonly #idempotency = new Map<string, number>()
  readonly #listeners = new Set<ViewListener>()

  /** Told of every change, in order per sandbox. Returns the way to stop it. */
  listen(listener: ViewListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  entry(id: SandboxId): Entry | undefined {
    return this.#live.get(id)
  }

  sandbox(id: SandboxId): Sandbox | undefined {
    const entry = this.#live.get(id)
    return entry === undefined ? this.#tombstones.get(id) : entry
  }

  isGone(id: string): boolean {
    return this.#gone.has(id)
  }

  entries(): IterableIterator<Entry> {
    return this.#live.values()
  }

  /** Oldest end first. */
  tombstones(): IterableIterator<Sandbox> {
    return this.#tombstones.values()
  }

  get tombstoneCount(): number {
    return this.#tombstones.size
  }

  /** Store keys with their expiry, oldest first. */
  idempotencyKeys(): IterableIterator<[string, number]> {
    return this.#idempotency.entries()
  }

  get idempotencyCount(): number {
    return this.#idempotency.size
  }

  /** The live one of that name; else the newest that failed or ended with it. */
  named(project: string, name: string): Sandbox | undefined {
    const id = this.#names.get(`${project}/${name}`)
    if (id !== undefined) return this.#live.get(id)
    for (const sandbox of this.newestFirst()) {
      if (sandbox.spec.name === name && sandbox.spec.project === project) return sandbox
    }
    return undefined
  }

  /** The id of what a caller calls by id or name; what is not known as a live name is answered as it is. */
  idOf(project: string, ref: string): string {
    return this.#names.get(`${project}/${ref}`) ?? ref
  }

  nameHolder(project: string, name: string): SandboxId | undefined {
    return this.#names.get(`${project}/${name}`)
  }

  slots(project: string): ReadonlyMap<number, SandboxId> {
    return this.#slots.get(project) ?? new Map<number, SandboxId>()
  }

  /** Live and ended ones, from the newest to the oldest, or from behind a position. */
  *newestFirst(after?: { readonly createdAt: number; readonly id: string }): Generator<Sandbox> {
    for (const id of this.#order.walk(after)) {
      const sandbox = this.sandbox(id)
      if (sandbox !== undefined) yield sandbox
    }
  }

  /** Takes what happened in one revision of the store. */
  apply(changes: readonly Change[], revision: number): void {
    const touched = new Set<SandboxId>()
    for (const change of changes) {
      const key = change.type === 'put' ? change.item.key : change.key
      const kind = kindOfKey(key)
      if (kind === undefined) continue
      if (kind.kind === 'idempotency') {
        if (change.type === 'put') this.#idempotency.set(key, decodeIdempotency(key, change.item.value).expiresAt)
        else this.#idempotency.delete(key)
        continue
      }
      const id = kind.rest as SandboxId
      if (this.#gone.has(id)) continue
      if (kind.kind === 'tombstone') {
        if (change.type === 'delete') this.#forget(id)
        else if (!this.#tombstones.has(id)) this.#bury(id, decodeTombstone(key, change.item.value))
      } else if (!this.#tombstones.has(id)) {
        if (change.type === 'put') {
          if (this.#place(id, kind.kind, change.item)) touched.add(id)
        } else this.#drop(id, kind.kind, revision)
      }
    }
    for (const id of touched) this.#assemble(id)
  }

  /** Takes a whole snapshot: what is not in it and not newer has ended unseen. */
  reset(items: readonly KeyValue[], revision: number): void {
    const present = new Set<string>()
    for (const item of items) present.add(kindOfKey(item.key)?.rest ?? '')
    for (const entry of this.#live.values()) {
      if (!present.has(entry.spec.id) && entry.specRevision <= revision) this.#vanish(entry)
    }
    for (const [id] of this.#tombstones) if (!present.has(id)) this.#forget(id)
    for (const item of items) this.apply([{ type: 'put', item }], item.modRevision)
  }

  #place(id: SandboxId, kind: 'spec' | 'status', item: KeyValue): boolean {
    const parts = this.#parts.get(id) ?? {}
    const known = parts[kind]
    if (known !== undefined && known.revision >= item.modRevision) return false
    if (kind === 'spec') {
      const { spec, slot, idempotency } = decodeSpec(item.key, item.value)
      parts.spec = { spec, slot, idempotency, revision: item.modRevision }
    } else {
      parts.status = { status: decodeStatus(item.key, item.value), revision: item.modRevision }
    }
    this.#parts.set(id, parts)
    return true
  }

  #drop(id: SandboxId, kind: 'spec' | 'status', revision: number): void {
    const parts = this.#parts.get(id)
    const known = parts?.[kind]
    if (parts === undefined || known === undefined || known.revision > revision) return
    delete parts[kind]
    if (parts.spec === undefined && parts.status === undefined) this.#parts.delete(id)
  }

  #assemble(id: SandboxId): void {
    const parts = this.#parts.get(id)
    if (parts?.spec === undefined || parts.status === undefined) return
    const { spec, slot, idempotency, revision: specRevision } = parts.spec
    const { status, revision: statusRevision } = parts.status
    const entry: Entry = { spec, status, slot, idempotency, specRevision, statusRevision }
    if (!this.#live.has(id)) this.#order.add(spec.createdAt, id)
    this.#live.set(id, entry)
    if (isLive(status.state)) this.#reserve(entry)
    else this.#release(entry)
    this.#tell(entry)
  }

  #reserve({ spec, slot }: Entry): void {
    const slots = this.#slots.get(spec.project) ?? new Map<number, SandboxId>()
    slots.set(slot, spec.id)
    this.#slots.set(spec.project, slots)
    if (spec.name !== undefined) this.#names.set(`${spec.project}/${spec.name}`, spec.id)
  }

  #release({ spec, slot }: Entry): void {
    const slots = this.#slots.get(spec.project)
    if (slots?.get(slot) === spec.id) slots.delete(slot)
    if (slots?.size === 0) this.#slots.delete(spec.project)
    const name = `${spec.project}/${spec.name}`
    if (spec.name !== undefined && this.#names.get(name) === spec.id) this.#names.delete(name)
  }

  #bury(id: SandboxId, sandbox: Sandbox): void {
    const entry = this.#live.get(id)
    if (entry === undefined) this.#order.add(sandbox.spec.createdAt, id)
    else this.#release(entry)
    this.#live.delete(id)
    this.#parts.delete(id)
    this.#tombstones.set(id, sandbox)
    this.#tell(sandbox)
  }

  #forget(id: SandboxId): void {
    const sandbox = this.#tombstones.get(id)
    if (sandbox === undefined) return
    this.#tombstones.delete(id)
    this.#order.remove(sandbox.spec.createdAt, id)
    this.#gone.add(id)
    if (this.#gone.size > GONE_REMEMBERED) {
      for (const oldest of this.#gone) {
        this.#gone.delete(oldest)
        break
      }
    }
  }

  #vanish(entry: Entry): void {
    const { spec, status } = entry
    const ended: SandboxStatus = { ...status, state: 'deleted', reason: status.reason ?? 'deleted' }
    this.#bury(spec.id, { spec, status: ended })
    this.#forget(spec.id)
  }

  #tell(sandbox: Sandbox): void {
    for (const listener of this.#listeners) listener(sandbox)
  }
}
