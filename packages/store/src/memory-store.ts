import {
  STORE_LIMITS,
  type Change,
  type Clock,
  type Compare,
  type KeyValue,
  type LeaseId,
  type Op,
  type RangePage,
  type RangeRequest,
  type Store,
  type TxnResult,
  type WatchBatch,
  type WatchRequest,
} from '@cove/domain'
import { checkCompact, checkKey, checkRange, checkTtl, checkTxn } from './check-request.ts'
import { DEFAULT_HISTORY, type HistoryLimit } from './history-limit.ts'
import { compareKeys, lowerBound } from './key-order.ts'
import { LeaseTimers } from './lease-timers.ts'
import { HISTORY_PAGE_BYTES, HISTORY_PAGE_CHANGES, PAGE_BYTES } from './page-limits.ts'
import { leaseNotFound, storeClosed, storeCompacted, tooManyLeases } from './store-errors.ts'
import { WatchHub, type HistoryPage } from './watch-hub.ts'

/** One key's step in one revision: what it was before and what it is after. */
interface Step {
  readonly key: string
  readonly before: KeyValue | undefined
  readonly after: KeyValue | undefined
}

interface Revision {
  readonly revision: number
  readonly steps: readonly Step[]
  readonly bytes: number
}

const NOTHING: Revision = { revision: 0, steps: [], bytes: 0 }

export interface MemoryStoreOptions {
  readonly clock: Clock
  readonly historyLimit?: HistoryLimit
}

/** The port in memory, for tests and simulations: same answers as the durable ones, gone with its process. */
export class MemoryStore implements Store {
  readonly #items = new Map<string, KeyValue>()
  readonly #keys: string[] = []
  readonly #history: Revision[] = []
  readonly #historyLimit: HistoryLimit
  readonly #leased = new Map<LeaseId, Set<string>>()
  readonly #timers: LeaseTimers
  readonly #hub = new WatchHub((prefix, from, done) => this.#readHistory(prefix, from, done))
  #historyBytes = 0
  #revision = 1
  #compacted = 0
  #leaseCount = 0
  #closed = false

  constructor(options: MemoryStoreOptions) {
    this.#historyLimit = options.historyLimit ?? DEFAULT_HISTORY
    this.#timers = new LeaseTimers(options.clock, (lease) => this.#endLease(lease))
  }

  async get(key: string): Promise<KeyValue | undefined> {
    this.#open()
    checkKey(key)
    const item = this.#items.get(key)
    return item === undefined ? undefined : copyOf(item)
  }

  async range(request: RangeRequest): Promise<RangePage> {
    this.#open()
    checkRange(request, this.#revision)
    const revision = request.revision ?? this.#revision
    if (revision < this.#compacted) throw storeCompacted(revision, this.#compacted)
    const limit = request.limit ?? STORE_LIMITS.pageItems
    const items: KeyValue[] = []
    let bytes = 0
    for (const item of this.#walk(request.prefix, request.after, revision)) {
      if (items.length === limit || bytes >= PAGE_BYTES) return { items, revision, more: true }
      items.push(copyOf(item))
      bytes += item.value.byteLength
    }
    return { items, revision, more: false }
  }

  async txn(compare: readonly Compare[], then: readonly Op[]): Promise<TxnResult> {
    this.#open()
    checkTxn(compare, then)
    if (!compare.every((each) => this.#holds(each))) return { ok: false, revision: this.#revision }
    for (const op of then) {
      if (op.type === 'put' && op.lease !== undefined && !this.#leased.has(op.lease)) throw leaseNotFound(op.lease)
    }
    const revision = this.#revision + 1
    this.#apply(
      then.map((op) => {
        const before = this.#items.get(op.key)
        if (op.type === 'delete') return { key: op.key, before, after: undefined }
        const after: KeyValue = {
          key: op.key,
          value: op.value.slice(),
          createRevision: before?.createRevision ?? revision,
          modRevision: revision,
          ...(op.lease === undefined ? {} : { lease: op.lease }),
        }
        return { key: op.key, before, after }
      }),
    )
    return { ok: true, revision: this.#revision }
  }

  watch(request: WatchRequest): AsyncIterable<WatchBatch> {
    return this.#hub.watch(request)
  }

  async revision(): Promise<number> {
    this.#open()
    return this.#revision
  }

  async grantLease(ttlMs: number): Promise<LeaseId> {
    this.#open()
    checkTtl(ttlMs)
    if (this.#leased.size >= STORE_LIMITS.leases) throw tooManyLeases()
    this.#leaseCount += 1
    const lease = `lease-${this.#leaseCount}`
    this.#leased.set(lease, new Set())
    this.#timers.add(lease, ttlMs)
    return lease
  }

  async keepAlive(lease: LeaseId): Promise<void> {
    this.#open()
    this.#timers.keepAlive(lease)
  }

  async revokeLease(lease: LeaseId): Promise<void> {
    this.#open()
    this.#timers.remove(lease)
    this.#endLease(lease)
  }

  async compact(revision: number): Promise<void> {
    this.#open()
    checkCompact(revision, this.#revision)
    this.#forget(revision)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timers.stop()
    this.#hub.fail(storeClosed())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #open(): void {
    if (this.#closed) throw storeClosed()
  }

  #holds(compare: Compare): boolean {
    const modRevision = this.#items.get(compare.key)?.modRevision ?? 0
    if ('modRevision' in compare) return modRevision === compare.modRevision
    return 'absent' in compare ? modRevision === 0 : modRevision !== 0
  }

  #endLease(lease: LeaseId): void {
    const keys = this.#leased.get(lease)
    if (keys === undefined) return
    this.#leased.delete(lease)
    this.#apply([...keys].map((key) => ({ key, before: this.#items.get(key), after: undefined })))
  }

  #apply(asked: readonly Step[]): void {
    const steps = asked
      .filter(({ before, after }) => before !== undefined || after !== undefined)
      .toSorted((a, b) => compareKeys(a.key, b.key))
    if (steps.length === 0) return
    this.#revision += 1
    let bytes = 0
    for (const { key, before, after } of steps) {
      bytes += Buffer.byteLength(key) + (before?.value.byteLength ?? 0)
      if (before?.lease !== undefined) this.#leased.get(before.lease)?.delete(key)
      if (after?.lease !== undefined) this.#leased.get(after.lease)?.add(key)
      if (after !== undefined) this.#items.set(key, after)
      else this.#items.delete(key)
      if (before === undefined) this.#keys.splice(lowerBound(this.#keys, key), 0, key)
      else if (after === undefined) this.#keys.splice(lowerBound(this.#keys, key), 1)
    }
    this.#history.push({ revision: this.#revision, steps, bytes })
    this.#historyBytes += bytes
    if (this.#hub.watched) this.#hub.publish(this.#revision, steps.map(changeOf))
    this.#cutHistory()
  }

  #cutHistory(): void {
    let excess = this.#historyBytes - this.#historyLimit.bytes
    let cut = this.#revision - this.#historyLimit.revisions
    for (const { revision, bytes } of this.#history) {
      if (excess <= 0) break
      excess -= bytes
      cut = Math.max(cut, revision)
    }
    this.#forget(cut)
  }

  #forget(revision: number): void {
    if (revision <= this.#compacted) return
    this.#compacted = revision
    for (const { bytes } of this.#history.splice(0, this.#indexOf(revision + 1))) this.#historyBytes -= bytes
  }

  /** Where that revision stands in history, or would. */
  #indexOf(revision: number): number {
    return Math.max(0, revision - (this.#history[0]?.revision ?? revision))
  }

  *#walk(prefix: string, after: string | undefined, revision: number): Generator<KeyValue> {
    // What a key was at that revision is what the first later step found.
    const past = new Map<string, KeyValue | undefined>()
    for (let i = this.#history.length - 1; i >= this.#indexOf(revision + 1); i--) {
      for (const step of this.#history[i]?.steps ?? []) past.set(step.key, step.before)
    }
    const gone = [...past.keys()].filter((key) => !this.#items.has(key))
    const keys = gone.length === 0 ? this.#keys : [...this.#keys, ...gone].toSorted(compareKeys)
    const start = after !== undefined && compareKeys(after, prefix) >= 0 ? lowerBound(keys, `${after}\0`) : undefined
    for (let i = start ?? lowerBound(keys, prefix); i < keys.length; i++) {
      const key = keys[i] ?? ''
      if (!key.startsWith(prefix)) return
      const item = past.has(key) ? past.get(key) : this.#items.get(key)
      if (item !== undefined) yield item
    }
  }

  async #readHistory(prefix: string, from: number, done: (page: HistoryPage) => void): Promise<void> {
    this.#open()
    if (from <= this.#compacted) throw storeCompacted(from, this.#compacted)
    const batches: WatchBatch[] = []
    let count = 0
    let bytes = 0
    for (let i = this.#indexOf(from); i < this.#history.length; i++) {
      const { revision, steps } = this.#history[i] ?? NOTHING
      const changes = steps.filter((step) => step.key.startsWith(prefix)).map(changeOf)
      if (changes.length === 0) continue
      batches.push({ revision, changes })
      count += changes.length
      for (const change of changes) bytes += change.type === 'put' ? change.item.value.byteLength : 0
      if (count >= HISTORY_PAGE_CHANGES || bytes >= HISTORY_PAGE_BYTES) {
        done({ batches, next: revision + 1, newest: this.#revision })
        return
      }
    }
    done({ batches, next: Math.max(from, this.#revision + 1), newest: this.#revision })
  }
}

function changeOf({ key, after }: Step): Change {
  return after === undefined ? { type: 'delete', key } : { type: 'put', item: copyOf(after) }
}

function copyOf(item: KeyValue): KeyValue {
  return { ...item, value: item.value.slice() }
}
