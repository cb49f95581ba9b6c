/**
 * Revisioned key-value state. Two implementations, one conformance suite; the limits of the narrower hold for
 * both. An empty store is at revision 1; every transaction that changes something raises it by one. Keys are
 * ordered by their UTF-8 bytes. Values that come out are shared between readers: treat them as read-only.
 *
 * Every call refuses bad input with `invalid-argument`, changes nothing then, and fails with `store-closed` after
 * `close`.
 */
export interface Store extends AsyncDisposable {
  get(key: string): Promise<KeyValue | undefined>
  /** Keys that start with `prefix`, in byte order. All pages of one walk read the same revision. */
  range(request: RangeRequest): Promise<RangePage>
  /**
   * Atomic: when every compare holds, all of `then` happens; otherwise nothing does. Deleting what is not there
   * changes nothing. `lease-not-found` when an operation names a lease that has ended.
   */
  txn(compare: readonly Compare[], then: readonly Op[]): Promise<TxnResult>
  /**
   * Every change to keys under `prefix` with a revision of at least `fromRevision`, none missed, none twice, one
   * batch per revision. Fails with `store-compacted` when that revision is no longer kept. Ends without an error
   * when the signal aborts. It holds nothing until it is iterated, and a reader that is slow costs no memory.
   */
  watch(request: WatchRequest): AsyncIterable<WatchBatch>
  /** The revision of the newest change. */
  revision(): Promise<number>
  /**
   * Keys put with this lease go away, in one revision, `ttlMs` after the last keep-alive or later (implementations
   * may round up to seconds); a restart grants a full TTL again.
   */
  grantLease(ttlMs: number): Promise<LeaseId>
  /** `lease-not-found` when it has ended. */
  keepAlive(lease: LeaseId): Promise<void>
  /** Ends the lease and its keys now, in one revision. One that has ended already is no error. */
  revokeLease(lease: LeaseId): Promise<void>
  /**
   * Forgets history: reading at `revision` or later and watching from after it still works, everything earlier is
   * `store-compacted`. Current values stay. The store also compacts by itself, when history becomes too large.
   */
  compact(revision: number): Promise<void>
  /** Waits for what was accepted, then lets go of the files. Safe to call twice. */
  close(): Promise<void>
}

export const STORE_LIMITS = {
  /** Compares, and likewise operations, in one transaction. */
  txnOps: 128,
  /** Keys and values of one transaction together. */
  txnBytes: 1024 * 1024,
  valueBytes: 512 * 1024,
  /** UTF-8 bytes; a key is never empty. */
  keyBytes: 1024,
  /** Items in one page of a range. */
  pageItems: 1000,
  /** A lease lasts at least a millisecond and at most 366 days. */
  leaseTtlMs: 366 * 24 * 60 * 60 * 1000,
  /** Leases that live at the same time; more are refused with `limit-reached`. */
  leases: 100_000,
} as const

export type LeaseId = string

export interface KeyValue {
  readonly key: string
  readonly value: Uint8Array
  /** Revision that made the key. */
  readonly createRevision: number
  /** Revision of its last change. */
  readonly modRevision: number
  readonly lease?: LeaseId
}

export interface RangeRequest {
  readonly prefix: string
  /** Continue after this key, exclusive. */
  readonly after?: string
  /** Read as of this revision; default: the newest. `store-compacted` when it is gone. */
  readonly revision?: number
  /** At most 1,000, the default. Large values make a page end earlier. */
  readonly limit?: number
}

export interface RangePage {
  readonly items: readonly KeyValue[]
  /** The revision the page was read at: pass it on for the next page, or watch from it plus one. */
  readonly revision: number
  /** True when keys follow after the last item; a page that is not the last has at least one item. */
  readonly more: boolean
}

/** `absent` is the same as a create-revision of 0, and as a `modRevision` of 0. */
export type Compare =
  | { readonly key: string; readonly absent: true }
  | { readonly key: string; readonly modRevision: number }
  | { readonly key: string; readonly exists: true }

/** A transaction names each key once. A put without a lease frees the key from the one it had. */
export type Op =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array; readonly lease?: LeaseId }
  | { readonly type: 'delete'; readonly key: string }

export interface TxnResult {
  readonly ok: boolean
  /** The revision after the transaction. */
  readonly revision: number
}

export interface WatchRequest {
  readonly prefix: string
  /** 1 or more; may lie in the future. */
  readonly fromRevision: number
  readonly signal: AbortSignal
}

export interface WatchBatch {
  readonly revision: number
  /** In byte order of their keys. */
  readonly changes: readonly Change[]
}

export type Change =
  | { readonly type: 'put'; readonly item: KeyValue }
  | { readonly type: 'delete'; readonly key: string }
