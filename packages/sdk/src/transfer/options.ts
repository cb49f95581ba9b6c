import type { FileOptions } from '../file-options.ts'

/** How files are copied between this machine and a sandbox. */
export interface TransferOptions extends FileOptions {
  /** Called after each part of the work. */
  readonly onProgress?: (progress: TransferProgress) => void
  /** Called for what cannot be copied: sockets, devices, names that are not UTF-8. */
  readonly onSkip?: (path: string, why: string) => void
}

/** What a transfer has done so far. */
export interface TransferProgress {
  /** Files, directories and links that are done. */
  readonly entries: number
  readonly bytes: number
}

/** What a transfer has done. */
export interface TransferSummary extends TransferProgress {
  /** What `onSkip` was told of. */
  readonly skipped: number
}
