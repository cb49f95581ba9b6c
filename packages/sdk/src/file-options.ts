import type { CallOptions } from './call-options.ts'

/** What every call about a file takes. */
export interface FileOptions extends CallOptions {
  /** Acts with this user's rights: `root` or `user`, the default. */
  readonly user?: string
}

/** Which part of a file is read; bytes count from 0. */
export interface ReadOptions extends FileOptions {
  /** Begin here. Default 0. */
  readonly offset?: number
  /** Read at most this many bytes. Default: to the end. */
  readonly length?: number
}

/** How a file is written. */
export interface WriteOptions extends FileOptions {
  /** Permission bits of a new file; an existing one keeps its own. Default 0o644. */
  readonly mode?: number
  /** Makes missing directories above. Default true. */
  readonly parents?: boolean
}

/** How deep a listing goes. */
export interface ListFilesOptions extends FileOptions {
  /** 1 is the directory itself; at most 64. Default 1. Symlinks are not followed. */
  readonly depth?: number
}

/** How a directory is made. */
export interface MakeDirectoryOptions extends FileOptions {
  /** Makes missing directories above, and does not mind one that is there. Default false. */
  readonly parents?: boolean
  /** Default 0o755. */
  readonly mode?: number
}

/** What may be removed. */
export interface RemoveOptions extends FileOptions {
  /** A directory with everything in it. Default false. */
  readonly recursive?: boolean
  /** A missing path is no error. */
  readonly force?: boolean
}

/** How a watch of files is made. */
export interface WatchFilesOptions {
  readonly user?: string
  /** Everything below the path too, also directories that are made later. Default false: the path itself. */
  readonly recursive?: boolean
  readonly signal?: AbortSignal
}

/** A file on its way out of a sandbox. */
export interface FileContent {
  /** Bytes that the content has. */
  readonly size: number
  /** To be read once. Leaving the loop early ends the transfer. */
  readonly content: AsyncIterable<Uint8Array>
}
