import type { CallOptions } from './call-options.ts'

export interface FileOptions extends CallOptions {
  /** Acts with this user's rights: `root` or `user`, the default. */
  readonly user?: string
}

export interface ReadOptions extends FileOptions {
  /** Begin here. Default 0. */
  readonly offset?: number
  /** Read at most this many bytes. Default: to the end. */
  readonly length?: number
}

export interface WriteOptions extends FileOptions {
  /** Permission bits of a new file; an existing one keeps its own. Default 0o644. */
  readonly mode?: number
  /** Makes missing directories above. Default true. */
  readonly parents?: boolean
}

export interface ListFilesOptions extends FileOptions {
  /** 1 is the directory itself; at most 64. Default 1. Symlinks are not followed. */
  readonly depth?: number
}

export interface MakeDirectoryOptions extends FileOptions {
  /** Makes missing directories above, and does not mind one that is there. Default false. */
  readonly parents?: boolean
  /** Default 0o755. */
  readonly mode?: number
}

export interface RemoveOptions extends FileOptions {
  readonly recursive?: boolean
  /** A missing path is no error. */
  readonly force?: boolean
}

export interface WatchFilesOptions {
  readonly user?: string
  readonly recursive?: boolean
  readonly signal?: AbortSignal
}

export interface FileContent {
  /** Bytes that the content has. */
  readonly size: number
  readonly content: AsyncIterable<Uint8Array>
}
