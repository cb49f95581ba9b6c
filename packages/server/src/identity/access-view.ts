import { timingSafeEqual } from 'node:crypto'
import { CoveError, type Change, type Clock, type KeyValue } from '@cove/domain'
import type { Principal } from '../auth/principal.ts'
import type { Expiries } from './expiries.ts'
import { decodeKey, decodeProject, kindOfAccessKey, type KeyRecord, type ProjectRecord } from './records.ts'

/** A key as the server holds it in memory. */
export interface KnownKey {
  readonly record: KeyRecord
  /** Of the store, for the next change of the record. */
  readonly revision: number
  /** Unix milliseconds; 0 for never since the start of the server. */
  readonly lastUsedAt: number
}

interface Held extends KnownKey {
  record: KeyRecord
  revision: number
  lastUsedAt: number
  readonly hash: Buffer
  readonly principal: Principal
  readonly ending: AbortController
  /** Takes its expiry back. */
  forget: () => void
}

export interface KnownProject {
  readonly record: ProjectRecord
  readonly revision: number
}

/** Bytes of the hash that keys are found by; the rest is compared in constant time. */
const INDEX_BYTES = 8

/**
 * Projects and API keys, held in memory, so that checking a key needs no way to the store. Fed by the transactions
 * of this server at once and by the store's watch with those of others; a revision that is known changes nothing.
 */
export class AccessView {
  readonly #clock: Clock
  readonly #expiries: Expiries
  readonly #projects = new Map<string, KnownProject>()
  readonly #keys = new Map<string, Held>()
  readonly #index = new Map<string, Set<Held>>()
  /** By the id of their project, in the order in which they were made known. */
  readonly #byProject = new Map<string, Set<Held>>()

  constructor(clock: Clock, expiries: Expiries) {
    this.#clock = clock
    this.#expiries = expiries
  }

  project(name: string): KnownProject | undefined {
    return this.#projects.get(name)
  }

  projects(): IterableIterator<KnownProject> {
    return this.#projects.values()
  }

  get projectCount(): number {
    return this.#projects.size
  }

  key(id: string): KnownKey | undefined {
    return this.#keys.get(id)
  }

  /** Those of one project, ended ones too. */
  *keysOf(project: string): Generator<KnownKey> {
    const id = this.#projects.get(project)?.record.id ?? ''
    yield* this.#byProject.get(id) ?? []
  }

  /** Keys whose project is gone. */
  *orphans(): Generator<KnownKey> {
    for (const held of this.#keys.values()) if (!this.#belongs(held)) yield held
  }

  /** Whose key has this SHA-256; undefined when there is none that opens anything. */
  verify(hash: Buffer): Principal | undefined {
    for (const held of this.#index.get(indexOf(hash)) ?? []) {
      if (!timingSafeEqual(held.hash, hash) || !this.#opens(held)) continue
      held.lastUsedAt = this.#clock.now()
      return held.principal
    }
    return undefined
  }

  /** The signal of a key that opens; undefined for one that does not, or that never was. */
  livingKey(id: string): AbortSignal | undefined {
    const held = this.#keys.get(id)
    return held !== undefined && this.#opens(held) ? held.ending.signal : undefined
  }

  /** True when it neither is revoked nor has expired. */
  isLive({ expiresAt = Infinity, revokedAt }: KeyRecord): boolean {
    return revokedAt === undefined && expiresAt > this.#clock.now()
  }

  /** Takes what happened in one revision of the store. */
  apply(changes: readonly Change[], revision: number): void {
    for (const change of changes) {
      const kind = kindOfAccessKey(change.type === 'put' ? change.item.key : change.key)
      if (kind === undefined) continue
      if (kind.kind === 'project') {
        if (change.type === 'put') this.#putProject(kind.rest, change.item)
        else if ((this.#projects.get(kind.rest)?.revision ?? Infinity) <= revision) this.#dropProject(kind.rest)
      } else if (change.type === 'put') {
        this.#putKey(kind.rest, change.item)
      } else if ((this.#keys.get(kind.rest)?.revision ?? Infinity) <= revision) {
        this.#dropKey(kind.rest, 'the key was removed')
      }
    }
  }

  /** Takes a whole snapshot: what is not in it and not newer is gone. */
  reset(items: readonly KeyValue[], revision: number): void {
    const present = new Set(items.map(({ key }) => key))
    for (const [name, { revision: known }] of this.#projects) {
      if (!present.has(`access/project/${name}`) && known <= revision) this.#dropProject(name)
    }
    for (const [id, { revision: known }] of this.#keys) {
      if (!present.has(`access/key/${id}`) && known <= revision) this.#dropKey(id, 'the key was removed')
    }
    for (const item of items) this.apply([{ type: 'put', item }], item.modRevision)
  }

  #putProject(name: string, item: KeyValue): void {
    const known = this.#projects.get(name)
    if (known !== undefined && known.revision >= item.modRevision) return
    const record = decodeProject(item.key, item.value)
    if (known !== undefined && known.record.id !== record.id) this.#dropProject(name)
    this.#projects.set(name, { record, revision: item.modRevision })
  }

  #dropProject(name: string): void {
    const project = this.#projects.get(name)
    this.#projects.delete(name)
    for (const held of this.#byProject.get(project?.record.id ?? '') ?? []) {
      end(held, 'the project of the key was deleted')
    }
  }

  #putKey(id: string, item: KeyValue): void {
    const known = this.#keys.get(id)
    if (known !== undefined && known.revision >= item.modRevision) return
    const record = decodeKey(item.key, item.value)
    const held = known ?? this.#hold(record, item.modRevision)
    held.record = record
    held.revision = item.modRevision
    if (record.revokedAt !== undefined) end(held, 'the key was revoked')
    held.forget()
    if (record.expiresAt !== undefined && this.isLive(record)) {
      held.forget = this.#expiries.add(record.expiresAt, () => end(held, 'the key has expired'))
    }
  }

  #hold(record: KeyRecord, revision: number): Held {
    const ending = new AbortController()
    const hash = Buffer.from(record.hash, 'hex')
    const { id, project, role, expiresAt } = record
    const expiry = expiresAt === undefined ? {} : { expiresAt }
    const principal = { key: id, project, role, operator: false, ended: ending.signal, ...expiry }
    const held: Held = { record, revision, lastUsedAt: 0, hash, principal, ending, forget: () => undefined }
    this.#keys.set(id, held)
    put(this.#index, indexOf(hash), held)
    put(this.#byProject, record.projectId, held)
    return held
  }

  #dropKey(id: string, why: string): void {
    const held = this.#keys.get(id)
    if (held === undefined) return
    this.#keys.delete(id)
    take(this.#index, indexOf(held.hash), held)
    take(this.#byProject, held.record.projectId, held)
    held.forget()
    end(held, why)
  }

  #opens(held: Held): boolean {
    return !held.ending.signal.aborted && this.isLive(held.record) && this.#belongs(held)
  }

  #belongs({ record }: KnownKey): boolean {
    return this.#projects.get(record.project)?.record.id === record.projectId
  }
}

function put(sets: Map<string, Set<Held>>, name: string, held: Held): void {
  const same = sets.get(name)
  if (same === undefined) sets.set(name, new Set([held]))
  else same.add(held)
}

function take(sets: Map<string, Set<Held>>, name: string, held: Held): void {
  const same = sets.get(name)
  same?.delete(held)
  if (same?.size === 0) sets.delete(name)
}

function end(held: Held, why: string): void {
  if (!held.ending.signal.aborted) held.ending.abort(keyEnded(why))
}

/** What whoever still listens with a key that has ended is told. */
export function keyEnded(why: string): CoveError {
  return new CoveError('unauthenticated', why, { reason: 'key-ended' }, { fix: 'Ask for a new key, and call again.' })
}

const indexOf = (hash: Buffer): string => hash.toString('latin1', 0, INDEX_BYTES)
