import type { Readable, Writable } from 'node:stream'
import type { Exit } from '@cove/domain'
import type { Proc } from './proc.ts'
import type { AppendedVariable, Variables } from './environment-layers.ts'

/** What a backend is asked to start. */
export interface ProcPlan {
  readonly program: string
  readonly args: readonly string[]
  /** As it was said; undefined: the environment's. */
  readonly directory: string | undefined
  /** The process's own; the backend knows what goes before it. */
  readonly variables: Variables
  readonly appended: readonly AppendedVariable[]
  readonly waitOn: string | undefined
  readonly stdin: boolean
}

/** Where one stream of output comes from. Exactly one of the two is called, once. */
export interface OutputSource {
  /**
   * Gives every chunk to `take` as it comes, waits whenever that answers with a promise, and calls `ended` after the last
   * one. The chunk is the caller's for the time of the call only. A stream that breaks has ended.
   */
  forward(take: (chunk: Buffer) => Promise<void> | undefined, ended: () => void): void
  /** The bytes as they are. */
  readable(): Readable
}

/** A process of a backend that has started: the small part in which backends differ. */
export interface LaunchedProc {
  readonly pid: number | undefined
  /** How it ended, whatever becomes of its output, and after `waitOn` has ended too. Never rejects. */
  readonly exited: Promise<Exit>
  /** Present when the plan asked for it. */
  readonly stdin?: Writable | undefined
  readonly stdout: OutputSource
  readonly stderr: OutputSource
  /** TERM to all of its group. What has ended is no error. Resolves when it is sent. */
  terminate(): Promise<void>
  /** Resolves when nothing of its group is left; may reject when the signal aborts. */
  quiet(signal: AbortSignal): Promise<void>
  /** Ends what is left of it, by force, and removes what it has left behind. Idempotent. */
  destroy(): Promise<void>
  /**
   * It has ended, and its output is all there: forgets what is kept of it and answers true, unless something that it has
   * started still runs.
   */
  release(): Promise<boolean>
}

/** The part of a backend that makes processes. `start` undoes what it has made before it fails. */
export interface ProcLauncher {
  launch(plan: ProcPlan, signal: AbortSignal): Promise<LaunchedProc>
  /** From now until the answer is called there may be something that the environment has to end when it stops. */
  track(proc: Pick<Proc, 'stop'>): () => void
}
