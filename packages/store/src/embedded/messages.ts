import type { Compare, ErrorCode, LeaseId, Op, WatchBatch, KeyValue } from '@cove/domain'
import type { HistoryLimit } from '../history-limit.ts'

/**
 * What the store and its worker say to each other. The worker answers in the order it was asked, so that no
 * message needs a number; both sides send lists.
 */
export type Request =
  | { readonly type: 'get'; readonly key: string }
  | {
      readonly type: 'range'
      readonly prefix: string
      readonly after: string | undefined
      readonly revision: number | undefined
      readonly limit: number
    }
  | { readonly type: 'txn'; readonly compare: readonly Compare[]; readonly ops: readonly Op[] }
  | { readonly type: 'history'; readonly prefix: string; readonly from: number }
  | { readonly type: 'grant'; readonly lease: LeaseId; readonly ttlMs: number }
  | { readonly type: 'end-lease'; readonly lease: LeaseId }
  | { readonly type: 'compact'; readonly revision: number }
  | { readonly type: 'close' }

export type Reply =
  | { readonly type: 'item'; readonly item: KeyValue | undefined }
  | { readonly type: 'page'; readonly items: readonly KeyValue[]; readonly revision: number; readonly more: boolean }
  | {
      readonly type: 'txn'
      readonly ok: boolean
      readonly revision: number
      /** For each operation: the create-revision of what was put or deleted, 0 where nothing was deleted. */
      readonly created: readonly number[]
    }
  | {
      readonly type: 'history'
      readonly batches: readonly WatchBatch[]
      readonly next: number
      readonly newest: number
    }
  | { readonly type: 'ended'; readonly revision: number; readonly keys: readonly string[] }
  | { readonly type: 'done' }
  | { readonly type: 'refused'; readonly problem: WireProblem }

export interface WireProblem {
  readonly code: ErrorCode
  readonly message: string
  readonly context?: Readonly<Record<string, string | number>>
  readonly fix?: string
}

export interface WorkerOptions {
  readonly path: string
  readonly durability: 'process' | 'power'
  readonly historyLimit: HistoryLimit
}

/** The worker's first message. */
export type Opened =
  | {
      readonly type: 'opened'
      readonly revision: number
      readonly leases: readonly { readonly id: LeaseId; readonly ttlMs: number }[]
      /** Schema version that the file had before it was brought up to date. */
      readonly migratedFrom: number | undefined
    }
  | { readonly type: 'refused'; readonly problem: WireProblem }
