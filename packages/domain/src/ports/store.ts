/**
 * Revisioned key-value state. Two implementations, one conformance suite; the limits of the narrower hold for
 * both. Every transaction that changes something raises the store's revision by one.
 */
export interface Store {
  get(key: string): Promise<KeyValue | undefined>
  /** Keys that start with `prefix`, in byte order. All pages of one walk read the same revision. */
  range(request: RangeRequest): Promise<RangePage>
  /** Atomic: when every compare holds, all of `then` happens; otherwise nothing does. */
  txn(compare: readonly Compare[], then: readonly Op[]): Promise<TxnResult>
  /**
   * Every change to keys under `prefix` with a revision of at least `fromRevision`, none missed, none twice, one
   * batch per revision. Fails with `store-compacted` when that revision is no longer kept. Ends with the signal.
   */
  watch(request: WatchRequest): AsyncIterable<WatchBatch>
  /** The revision of the newest change. */
  revision(): Promise<number>
  /** Keys put with this lease go away `ttlMs` after the last keep-alive; a restart grants a full TTL again. */
  grantLease(ttlMs: number): Promise<LeaseId>
  /** `lease-not-found` when it has ended. */
  keepAlive(lease: LeaseId): Promise<void>
  revokeLease(lease: LeaseId): Promise<void>
  /** Forgets history before this revision; current values stay. */
  compact(revision: number): Promise<void>
  /** Waits for what was accepted, then lets go of the files. Safe to call twice. */
  close(): Promise<void>
}

export const STORE_LIMITS = {
  /** Operations and compares in one transaction. */
  txnOps: 128,
  valueBytes: 512 * 1024,
  keyBytes: 1024,
  /** Items in one page of a range. */
  pageItems: 1000,
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
  /** At most 1,000, the default. */
  readonly limit?: number
}

export interface RangePage {
  readonly items: readonly KeyValue[]
  /** The revision the page was read at: pass it on for the next page, or watch from it plus one. */
  readonly revision: number
  readonly more: boolean
}

/** `absent` is the same as a create-revision of 0. */
export type Compare =
  | { readonly key: string; readonly absent: true }
  | { readonly key: string; readonly modRevision: number }
  | { readonly key: string; readonly exists: true }

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
  readonly fromRevision: number
  readonly signal: AbortSignal
}

export interface WatchBatch {
  readonly revision: number
  readonly changes: readonly Change[]
}

export type Change =
  | { readonly type: 'put'; readonly item: KeyValue }
  | { readonly type: 'delete'; readonly key: string }
