import type { FileType } from '@cove/domain'

/** A file, directory or link in a sandbox. */
export interface FileInfo {
  /** Last part of the path; bytes that are not UTF-8 are shown as U+FFFD. */
  readonly name: string
  /** Absolute, or relative to the listed directory. */
  readonly path: string
  /** The exact bytes of the path, present only when they are not UTF-8. */
  readonly rawPath?: Uint8Array
  readonly type: FileType
  /** Bytes. */
  readonly size: number
  /** Permission bits, as in 0o755. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly modifiedAt: Date
  /** With a link: where it leads, as it is written in it. */
  readonly symlinkTarget?: string
}
