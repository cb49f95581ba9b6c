import type { Duplex } from 'node:stream'
import type { Exit } from '../exit.ts'
import type { ProcessId } from '../ids.ts'

/**
 * What can be asked inside one machine. `guest-link` implements it over the frame protocol; the node hands it
 * through to the doors. Every call ends early with `cancelled` when its signal aborts.
 */
export interface Guest {
  /** Starts a process and attaches to it from its first byte. Starting the same id twice is `already-exists`. */
  start(request: StartProcess, signal?: AbortSignal): Promise<ProcessStream>
  /** Attaches again, also after the process has ended as long as the guest remembers it. */
  attach(id: ProcessId, from: AttachFrom, signal?: AbortSignal): Promise<ProcessStream>
  processes(signal?: AbortSignal): Promise<readonly ProcessInfo[]>
  /** Writes to stdin with the process's own backpressure; resolves when the guest has taken everything. */
  writeStdin(
    id: ProcessId,
    content: AsyncIterable<Uint8Array>,
    options: StdinOptions,
    signal?: AbortSignal,
  ): Promise<void>
  /** Sends a signal by number (1 to 64) to the process's whole group. */
  signal(id: ProcessId, signalNumber: number, signal?: AbortSignal): Promise<void>
  resize(id: ProcessId, size: TerminalSize, signal?: AbortSignal): Promise<void>

  readFile(path: string, options?: ReadFileOptions, signal?: AbortSignal): Promise<FileContent>
  /** Replaces the file in one step when all bytes have arrived; a broken stream changes nothing. */
  writeFile(
    path: string,
    content: AsyncIterable<Uint8Array>,
    options?: WriteFileOptions,
    signal?: AbortSignal,
  ): Promise<FileInfo>
  stat(path: string, options?: FileOptions, signal?: AbortSignal): Promise<FileInfo>
  list(path: string, options?: ListOptions, signal?: AbortSignal): AsyncIterable<FileInfo>
  makeDirectory(path: string, options?: MakeDirectoryOptions, signal?: AbortSignal): Promise<void>
  move(from: string, to: string, options?: FileOptions, signal?: AbortSignal): Promise<void>
  remove(path: string, options?: RemoveOptions, signal?: AbortSignal): Promise<void>
  chmod(path: string, mode: number, options?: FileOptions, signal?: AbortSignal): Promise<void>
  symlink(target: string, path: string, options?: FileOptions, signal?: AbortSignal): Promise<void>
  watch(path: string, options?: WatchOptions, signal?: AbortSignal): Promise<AsyncIterable<FileEvent>>

  /** A byte stream to a port of the guest's loopback, or to a unix socket inside it. */
  dial(target: DialTarget, signal?: AbortSignal): Promise<Duplex>
  metrics(signal?: AbortSignal): Promise<GuestMetrics>
}

export interface StartProcess {
  readonly id: ProcessId
  /** Program and arguments; the program is looked up in the PATH of `env` inside the guest. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Absolute; default: the user's home. */
  readonly cwd?: string
  /** Default `user`. */
  readonly user?: string
  /** With a terminal of this size instead of pipes. */
  readonly terminal?: TerminalSize
  /** When false, stdin is empty from the start. Default false. */
  readonly stdin?: boolean
  /** Milliseconds until the whole group is ended with TERM, then KILL after `graceMs`. 0 or absent: never. */
  readonly timeoutMs?: number
  /** Default 2,000 ms. */
  readonly graceMs?: number
}

/** Characters that a terminal shows. */
export interface TerminalSize {
  readonly rows: number
  readonly columns: number
}

/** An offset in the process's output counted over all its streams, or only what comes from now on. */
export type AttachFrom = number | 'now'

export interface StdinOptions {
  /** Close stdin after the content. */
  readonly close: boolean
}

export interface ProcessStream {
  readonly info: ProcessInfo
  /** Ends after the `exit` event. Leaving the loop early detaches; the process goes on. */
  readonly events: AsyncIterable<ProcessEvent>
}

/** What happens to a process, in order. Offsets count the bytes of all its streams together. */
export type ProcessEvent =
  /** `offset` counts bytes over all streams of the process, from 0. */
  | { readonly type: 'output'; readonly stream: OutputStream; readonly offset: number; readonly data: Uint8Array }
  /** These bytes were overwritten before anyone read them. */
  | { readonly type: 'gap'; readonly from: number; readonly to: number }
  | { readonly type: 'exit'; readonly exit: Exit; readonly timedOut: boolean }

/** Where output was written to; with a terminal there is one stream. */
export type OutputStream = 'stdout' | 'stderr' | 'terminal'

export interface ProcessInfo {
  readonly id: ProcessId
  /** Inside the guest. */
  readonly pid: number
  readonly argv: readonly string[]
  readonly cwd: string
  readonly user: string
  readonly terminal: boolean
  /** Unix milliseconds by the guest's clock. */
  readonly startedAt: number
  /** First offset still in the ring, and the offset one past the last byte. */
  readonly outputFrom: number
  readonly outputTo: number
  readonly exit?: Exit
  readonly timedOut: boolean
}

export interface FileOptions {
  /** Acts with this user's rights. Default `user`. */
  readonly user?: string
}
export interface ReadFileOptions extends FileOptions {
  readonly offset?: number
  readonly length?: number
}
export interface WriteFileOptions extends FileOptions {
  /** Permission bits of a new file; an existing one keeps its own. Default 0o644. */
  readonly mode?: number
  /** Makes missing parents. Default true. */
  readonly parents?: boolean
}
export interface ListOptions extends FileOptions {
  /** 1 is the directory itself; at most 64. Default 1. Symlinks are not followed. */
  readonly depth?: number
}
export interface MakeDirectoryOptions extends FileOptions {
  readonly parents?: boolean
  readonly mode?: number
}
export interface RemoveOptions extends FileOptions {
  readonly recursive?: boolean
  /** A missing path is no error. */
  readonly force?: boolean
}
export interface WatchOptions extends FileOptions {
  readonly recursive?: boolean
}

export interface FileContent {
  readonly info: FileInfo
  readonly content: AsyncIterable<Uint8Array>
}

/** What a path is; `other` is a socket, a pipe or a device. */
export type FileType = 'file' | 'directory' | 'symlink' | 'other'

export interface FileInfo {
  /** Last part of the path; bytes that are not UTF-8 are shown as U+FFFD. */
  readonly name: string
  /** Absolute path, or relative to the listed directory in a listing. */
  readonly path: string
  /** The exact bytes of `path`, present only when they are not UTF-8. */
  readonly rawPath?: Uint8Array
  readonly type: FileType
  readonly size: number
  /** Permission bits, as in 0o755. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Unix milliseconds. */
  readonly modifiedAt: number
  readonly symlinkTarget?: string
}

/** A change below a watched path; paths are relative to it. After `overflow` something was missed. */
export type FileEvent =
  | { readonly type: 'created' | 'modified' | 'removed' | 'chmod'; readonly path: string }
  | { readonly type: 'renamed'; readonly path: string; readonly to: string }
  /** The kernel's queue was full: something was missed, look again. */
  | { readonly type: 'overflow' }

export type DialTarget =
  | { readonly kind: 'tcp'; readonly port: number; readonly host?: string }
  | { readonly kind: 'unix'; readonly path: string }

export interface GuestMetrics {
  /** Unix milliseconds by the guest's clock. */
  readonly at: number
  readonly agentVersion: string
  readonly uptimeMs: number
  readonly processes: number
  readonly memoryTotalBytes: number
  readonly memoryUsedBytes: number
  readonly diskTotalBytes: number
  readonly diskUsedBytes: number
  readonly loadAverage1: number
}

/** What makes a machine a particular sandbox: asked for once after every create, claim, restore or fork. */
export interface GuestIdentity {
  readonly hostname: string
  /** Defaults for every process. */
  readonly env: Readonly<Record<string, string>>
  /** Whose processes are when a call names nobody: a name or a number, with `:group` or without. Default `user`. */
  readonly user?: string
  /** Where processes start when a call names no directory. Default: the user's home. */
  readonly workdir?: string
  /** 32 bytes that later sessions have to show instead of those of this one. */
  readonly token?: Uint8Array
  /** 32 fresh random bytes for the guest's pool. */
  readonly entropy: Uint8Array
  /** Unix milliseconds; set in machines that have a clock of their own. */
  readonly clock: number
}
