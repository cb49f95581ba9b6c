import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Change, Compare, KeyValue, LeaseId, Op, WatchBatch } from '@cove/domain'
import type { HistoryLimit } from '../history-limit.ts'
import { HISTORY_PAGE_BYTES, HISTORY_PAGE_CHANGES, HISTORY_PAGE_REVISIONS, PAGE_BYTES } from '../page-limits.ts'
import type { Reply, Request } from './messages.ts'
import { Problem, problemOf } from './problem.ts'
import { integer, itemOf, keyText, prefixEnd, text, type Row } from './rows.ts'
import { compactedMessage, leaseNotFoundMessage } from '../wording.ts'
import { statements, type Statements } from './statements.ts'

/** Past the limit by this many revisions, the oldest are forgotten: a cut is cheaper in pieces than one by one. */
const CUT_SLACK = 256

/** The key-value state in one SQLite file; knows nothing of threads. */
export class Database {
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #sql: Statements
  readonly #limit: HistoryLimit
  #revision = 1
  #compacted = 0
  #historyBytes = 0

  constructor(db: DatabaseSync, path: string, limit: HistoryLimit) {
    this.#db = db
    this.#path = path
    this.#limit = limit
    this.#sql = statements(db)
    this.#load()
  }

  get revision(): number {
    return this.#revision
  }

  leases(): { id: LeaseId; ttlMs: number }[] {
    return all(this.#sql.leases).map((row) => ({ id: text(row, 0), ttlMs: integer(row, 1) }))
  }

  /** Runs the requests in their order and in one transaction of SQLite; each is still atomic by itself. */
  execute(requests: readonly Request[]): Reply[] {
    if (requests.every(changesNothing)) return requests.map((request) => this.#answer(request))
    try {
      return this.#together(requests)
    } catch (error) {
      if (requests.length === 1) return [this.#refusal(error)]
      // One of them met the disk's limits: each gets the answer that it would have got alone.
      return requests.map((request) => this.#alone(request))
    }
  }

  /** Forgets history beyond its limits; called between groups, so that no answer waits for it. */
  cutHistory(): void {
    const tooMany = this.#revision - this.#compacted > this.#limit.revisions + CUT_SLACK
    const tooLarge = this.#historyBytes > this.#limit.bytes
    if (!tooMany && !tooLarge) return
    const byCount = this.#revision - this.#limit.revisions
    const cut = tooLarge ? Math.max(byCount, this.#revisionToFit()) : byCount
    this.execute([{ type: 'compact', revision: cut }])
  }

  close(): void {
    this.#db.close()
  }

  #load(): void {
    for (const row of all(this.#sql.meta)) {
      if (row[0] === 'revision') this.#revision = integer(row, 1)
      if (row[0] === 'compacted') this.#compacted = integer(row, 1)
      if (row[0] === 'history_bytes') this.#historyBytes = integer(row, 1)
    }
  }

  #alone(request: Request): Reply {
    if (changesNothing(request)) return this.#answer(request)
    try {
      return this.#together([request])[0] ?? { type: 'done' }
    } catch (error) {
      return this.#refusal(error)
    }
  }

  #together(requests: readonly Request[]): Reply[] {
    const before = { revision: this.#revision, compacted: this.#compacted, historyBytes: this.#historyBytes }
    try {
      this.#sql.begin.run()
      const replies = requests.map((request) => this.#answer(request, true))
      if (this.#revision !== before.revision) this.#sql.setMeta.run(this.#revision, 'revision')
      if (this.#compacted !== before.compacted) this.#sql.setMeta.run(this.#compacted, 'compacted')
      if (this.#historyBytes !== before.historyBytes) this.#sql.setMeta.run(this.#historyBytes, 'history_bytes')
      this.#sql.commit.run()
      return replies
    } catch (error) {
      this.#revision = before.revision
      this.#compacted = before.compacted
      this.#historyBytes = before.historyBytes
      if (this.#db.isTransaction) this.#sql.rollback.run()
      throw error
    }
  }

  /** A refusal by the store's own rules comes before any change, so it is an answer; inside a group all else throws. */
  #answer(request: Request, inGroup = false): Reply {
    try {
      return this.#run(request)
    } catch (error) {
      if (inGroup && !(error instanceof Problem)) throw error
      return this.#refusal(error)
    }
  }

  #refusal(error: unknown): Reply {
    return { type: 'refused', problem: problemOf(error, this.#path).wire }
  }

  #run(request: Request): Reply {
    switch (request.type) {
      case 'get':
        return { type: 'item', item: this.#get(request.key, Buffer.from(request.key)) }
      case 'range':
        return this.#range(request)
      case 'txn':
        return this.#txn(request.compare, request.ops)
      case 'history':
        return this.#history(request.prefix, request.from)
      case 'grant':
        this.#sql.grant.run(request.lease, request.ttlMs)
        return { type: 'done' }
      case 'end-lease':
        return this.#endLease(request.lease)
      case 'compact':
        this.#compact(request.revision)
        return { type: 'done' }
      case 'close':
        return { type: 'done' }
    }
  }

  #get(key: string, keyBytes: Uint8Array): KeyValue | undefined {
    const row = one(this.#sql.get, keyBytes)
    return row === undefined ? undefined : itemOf(key, row, 0)
  }

  #range(request: Request & { type: 'range' }): Reply {
    const revision = request.revision ?? this.#revision
    if (revision < this.#compacted) throw this.#gone(revision)
    const prefix = Buffer.from(request.prefix)
    const after = request.after === undefined ? undefined : Buffer.from(`${request.after}\0`)
    const from = after !== undefined && Buffer.compare(after, prefix) > 0 ? after : prefix
    const end = prefixEnd(prefix)
    const items: KeyValue[] = []
    let size = 0
    const rows =
      revision === this.#revision
        ? this.#sql.range.iterate(from, end)
        : this.#sql.rangeAt.iterate({ from, end, rev: revision })
    for (const row of rows) {
      if (items.length === request.limit || size >= PAGE_BYTES) return { type: 'page', items, revision, more: true }
      const item = itemOf(keyText(row, 0), row, 1)
      items.push(item)
      size += item.value.byteLength
    }
    return { type: 'page', items, revision, more: false }
  }

  #txn(compare: readonly Compare[], ops: readonly Op[]): Reply {
    if (!compare.every((each) => this.#holds(each))) {
      return { type: 'txn', ok: false, revision: this.#revision, created: [] }
    }
    for (const op of ops) {
      if (op.type === 'put' && op.lease !== undefined && one(this.#sql.lease, op.lease) === undefined) {
        throw leaseNotFound(op.lease)
      }
    }
    const revision = this.#revision + 1
    const created = ops.map((op, place) =>
      op.type === 'put' ? this.#put(revision, place, op) : this.#delete(revision, place, Buffer.from(op.key)),
    )
    if (created.some((each) => each !== 0)) this.#revision = revision
    return { type: 'txn', ok: true, revision: this.#revision, created }
  }

  #holds(compare: Compare): boolean {
    const row = one(this.#sql.modRevision, Buffer.from(compare.key))
    const modRevision = row === undefined ? 0 : integer(row, 0)
    if ('modRevision' in compare) return modRevision === compare.modRevision
    return 'absent' in compare ? modRevision === 0 : modRevision !== 0
  }

  #put(revision: number, place: number, op: Op & { type: 'put' }): number {
    const key = Buffer.from(op.key)
    const logged = one(this.#sql.logPut, revision, key, place)
    this.#historyBytes += logged === undefined ? 0 : integer(logged, 0)
    const row = one(this.#sql.put, key, op.value, revision, op.lease ?? null)
    return row === undefined ? revision : integer(row, 0)
  }

  /** The create-revision of what was deleted, or 0. */
  #delete(revision: number, place: number, key: Uint8Array): number {
    const logged = one(this.#sql.logDelete, revision, key, place)
    if (logged === undefined) return 0
    this.#historyBytes += integer(logged, 0)
    const row = one(this.#sql.delete, key)
    return row === undefined ? 0 : integer(row, 0)
  }

  #endLease(lease: LeaseId): Reply {
    const keys = all(this.#sql.leased, lease)
    const revision = this.#revision + 1
    for (const [place, row] of keys.entries()) this.#delete(revision, place, Buffer.from(keyText(row, 0)))
    this.#sql.revoke.run(lease)
    if (keys.length > 0) this.#revision = revision
    return { type: 'ended', revision: this.#revision, keys: keys.map((row) => keyText(row, 0)) }
  }

  #compact(revision: number): void {
    if (revision <= this.#compacted) return
    const size = one(this.#sql.sizeUntil, revision)
    this.#sql.forget.run(revision)
    this.#historyBytes -= size === undefined ? 0 : integer(size, 0)
    this.#compacted = revision
  }

  /** With this revision and all before it forgotten, history is three quarters of its limit or less. */
  #revisionToFit(): number {
    let excess = this.#historyBytes - this.#limit.bytes * 0.75
    let cut = this.#compacted
    for (const row of this.#sql.oldest.iterate()) {
      if (excess <= 0) break
      cut = integer(row, 0)
      excess -= integer(row, 1)
    }
    return cut
  }

  #history(prefixText: string, from: number): Reply {
    if (from <= this.#compacted) throw this.#gone(from)
    if (from > this.#revision) return { type: 'history', batches: [], next: from, newest: this.#revision }
    const prefix = Buffer.from(prefixText)
    const batches: (WatchBatch & { changes: Change[] })[] = []
    const last = Math.min(from + HISTORY_PAGE_REVISIONS, this.#revision + 1)
    let count = 0
    let size = 0
    const rows = this.#sql.changes.iterate({ from, last, prefix, end: prefixEnd(prefix) })
    for (const row of rows) {
      const revision = integer(row, 0)
      if (batches.at(-1)?.revision !== revision) {
        if (count >= HISTORY_PAGE_CHANGES || size >= HISTORY_PAGE_BYTES) {
          return { type: 'history', batches, next: revision, newest: this.#revision }
        }
        batches.push({ revision, changes: [] })
      }
      const change = this.#changeOf(row, revision)
      batches.at(-1)?.changes.push(change)
      count += 1
      if (change.type === 'put') size += change.item.value.byteLength
    }
    return { type: 'history', batches, next: Math.max(from, last), newest: this.#revision }
  }

  /** What a put wrote is what the next change of that key found, or what the key holds now. */
  #changeOf(row: Row, revision: number): Change {
    const key = keyText(row, 1)
    if (integer(row, 2) === 0) return { type: 'delete', key }
    const keyBytes = Buffer.from(key)
    const next = one(this.#sql.nextChange, keyBytes, revision)
    const item = next === undefined ? this.#get(key, keyBytes) : itemOf(key, next, 0)
    if (item === undefined) throw new Problem({ code: 'store-corrupt', message: `the log of ${this.#path} has a hole` })
    return { type: 'put', item }
  }

  #gone(revision: number): Problem {
    return new Problem({
      code: 'store-compacted',
      message: compactedMessage(revision, this.#compacted),
      context: { revision, compacted: this.#compacted },
    })
  }
}

function leaseNotFound(lease: LeaseId): Problem {
  const context = { lease: lease.slice(0, 80) }
  return new Problem({ code: 'lease-not-found', message: leaseNotFoundMessage(lease), context })
}

function changesNothing({ type }: Request): boolean {
  return type === 'get' || type === 'range' || type === 'history' || type === 'close'
}

type Value = number | string | Uint8Array | null

function one(statement: StatementSync, ...values: Value[]): Row | undefined {
  return statement.get(...values)
}

function all(statement: StatementSync, ...values: Value[]): Row[] {
  return statement.all(...values)
}
