import type { Worker } from 'node:worker_threads'
import {
  CoveError,
  randomId,
  STORE_LIMITS,
  type Change,
  type Clock,
  type Compare,
  type KeyValue,
  type LeaseId,
  type Log,
  type Op,
  type Random,
  type RangePage,
  type RangeRequest,
  type Store,
  type TxnResult,
  type WatchBatch,
  type WatchRequest,
} from '@cove/domain'
import { checkCompact, checkKey, checkRange, checkTtl, checkTxn } from '../check-request.ts'
import { compareKeys } from '../key-order.ts'
import { LeaseTimers } from '../lease-timers.ts'
import { storeClosed, tooManyLeases } from '../store-errors.ts'
import { WatchHub, type HistoryPage } from '../watch-hub.ts'
import type { Opened, Reply } from './messages.ts'
import { WorkerLink } from './worker-link.ts'

interface Parts {
  readonly worker: Worker
  readonly opened: Opened & { type: 'opened' }
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** How long a lease's end waits after the disk refused it. */
const END_LEASE_RETRY_MS = 1000

/** The caller's side: checks requests, knows when leases end, and tells watchers; the worker owns the file. */
export class EmbeddedStore implements Store {
  readonly #link: WorkerLink
  readonly #hub: WatchHub
  readonly #timers: LeaseTimers
  readonly #parts: Parts
  readonly #stop = new AbortController()
  #revision: number
  #grants = 0
  #closing: Promise<void> | undefined

  constructor(parts: Parts) {
    this.#parts = parts
    this.#revision = parts.opened.revision
    this.#hub = new WatchHub((prefix, from, done) => this.#readHistory(prefix, from, done))
    this.#link = new WorkerLink(parts.worker, (error) => {
      parts.log.error('the store worker ended unexpectedly', { cause: CoveError.from(error.cause).message })
      this.#stop.abort()
      this.#timers.stop()
      this.#hub.fail(error)
    })
    this.#timers = new LeaseTimers(parts.clock, (lease) => this.#endLater(lease))
    for (const { id, ttlMs } of parts.opened.leases) this.#timers.add(id, ttlMs)
  }

  async get(key: string): Promise<KeyValue | undefined> {
    this.#open()
    checkKey(key)
    const reply = await this.#link.ask({ type: 'get', key }, 'item')
    return reply.item
  }

  async range(request: RangeRequest): Promise<RangePage> {
    this.#open()
    checkRange(request, this.#revision)
    const { prefix, after, revision, limit = STORE_LIMITS.pageItems } = request
    const { items, more, ...page } = await this.#link.ask({ type: 'range', prefix, after, revision, limit }, 'page')
    return { items, revision: page.revision, more }
  }

  async txn(compare: readonly Compare[], then: readonly Op[]): Promise<TxnResult> {
    this.#open()
    checkTxn(compare, then)
    // Changes are told in the order of their keys, now and when they are read from the log.
    const ops = then.map(ownCopy).toSorted((a, b) => compareKeys(a.key, b.key))
    const reply = await this.#link.ask({ type: 'txn', compare: compare.map(plainCompare), ops }, 'txn', (answer) =>
      this.#committed(ops, answer),
    )
    return { ok: reply.ok, revision: reply.revision }
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
    if (this.#timers.count + this.#grants >= STORE_LIMITS.leases) throw tooManyLeases()
    const lease = randomId(this.#parts.random)
    this.#grants += 1
    try {
      await this.#link.ask({ type: 'grant', lease, ttlMs }, 'done', () => this.#timers.add(lease, ttlMs))
    } finally {
      this.#grants -= 1
    }
    return lease
  }

  async keepAlive(lease: LeaseId): Promise<void> {
    this.#open()
    this.#timers.keepAlive(lease)
  }

  async revokeLease(lease: LeaseId): Promise<void> {
    this.#open()
    if (!this.#timers.has(lease)) return
    await this.#endLease(lease)
    this.#timers.remove(lease)
  }

  async compact(revision: number): Promise<void> {
    this.#open()
    checkCompact(revision, this.#revision)
    await this.#link.ask({ type: 'compact', revision }, 'done')
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#stop.abort()
    this.#timers.stop()
    const closed = this.#link.close()
    this.#hub.fail(storeClosed())
    await closed
  }

  #open(): void {
    if (this.#closing !== undefined) throw storeClosed()
  }

  #committed(ops: readonly Op[], answer: Reply & { type: 'txn' }): void {
    if (!answer.ok || answer.revision <= this.#revision) return
    this.#revision = answer.revision
    if (!this.#hub.watched) return
    const changes: Change[] = []
    for (const [i, op] of ops.entries()) {
      const createRevision = answer.created[i] ?? 0
      if (createRevision === 0) continue
      if (op.type === 'delete') changes.push({ type: 'delete', key: op.key })
      else {
        const { key, value, lease } = op
        const item = { key, value, createRevision, modRevision: answer.revision }
        changes.push({ type: 'put', item: lease === undefined ? item : { ...item, lease } })
      }
    }
    this.#hub.publish(answer.revision, changes)
  }

  async #endLease(lease: LeaseId): Promise<void> {
    await this.#link.ask({ type: 'end-lease', lease }, 'ended', ({ revision, keys }) => {
      if (keys.length === 0) return
      this.#revision = revision
      this.#hub.publish(
        revision,
        keys.map((key) => ({ type: 'delete', key })),
      )
    })
  }

  #endLater(lease: LeaseId): void {
    const end = async () => {
      while (!this.#stop.signal.aborted) {
        try {
          await this.#endLease(lease)
          return
        } catch (error) {
          this.#parts.log.warn('a lease could not be ended yet', { lease, cause: CoveError.from(error).message })
          await this.#parts.clock.sleep(END_LEASE_RETRY_MS, this.#stop.signal)
        }
      }
    }
    // Only the store's end stops it, and a lease that outlives the store gets its full time again.
    end().catch(() => {})
  }

  async #readHistory(prefix: string, from: number, done: (page: HistoryPage) => void): Promise<void> {
    this.#open()
    await this.#link.ask({ type: 'history', prefix, from }, 'history', done)
  }
}

/** Callers may reuse their buffers as soon as the call returns. */
function ownCopy(op: Op): Op {
  if (op.type === 'delete') return { type: 'delete', key: op.key }
  const copy = { type: 'put' as const, key: op.key, value: new Uint8Array(op.value) }
  return op.lease === undefined ? copy : { ...copy, lease: op.lease }
}

/** Only what the port names crosses to the worker. */
function plainCompare(compare: Compare): Compare {
  if ('modRevision' in compare) return { key: compare.key, modRevision: compare.modRevision }
  return 'absent' in compare ? { key: compare.key, absent: true } : { key: compare.key, exists: true }
}
