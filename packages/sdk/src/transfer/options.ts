import type { FileOptions } from '../file-options.ts'

export interface TransferOptions extends FileOptions {
  /** Called after each part of the work. */
  readonly onProgress?: (progress: TransferProgress) => void
  /** Called for what cannot be copied: sockets, devices, names that are not UTF-8. */
  readonly onSkip?: (path: string, why: string) => void
}

export interface TransferProgress {
  /** Files, directories and links that are done. */
  readonly entries: number
  readonly bytes: number
}

export interface TransferSummary extends TransferProgress {
  readonly skipped: number
}
