/** How much history a store keeps by itself, at least; a little more may stand until it is cut. */
export interface HistoryLimit {
  readonly revisions: number
  /** Bytes of overwritten and deleted keys and values. */
  readonly bytes: number
}

export const DEFAULT_HISTORY: HistoryLimit = { revisions: 100_000, bytes: 64 * 1024 * 1024 }
