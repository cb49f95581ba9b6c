import type { Exit } from '@cove/domain'
import type { HostProcessPipes } from './host-process-pipes.ts'

/**
 * - `partial`: the launcher was killed while it prepared this one; only `destroy` is meaningful.
 * - `running`: exec has been allowed and nobody has seen it end.
 * - `exited`: it has ended; `exit` says how. The record stays until `destroy`.
 */
export type HostProcessState = 'partial' | 'running' | 'exited'

/** One recorded host process. Handles of the same id share their state and stay current while the launcher is open. */
export interface HostProcess {
  readonly id: string
  /** 0 when `partial`. */
  readonly pid: number
  /** Ticks since boot, field 22 of `/proc/<pid>/stat`: with the pid it names one process for ever. 0 when `partial`. */
  readonly startTime: number
  readonly state: HostProcessState
  readonly note: string
  /** Cgroup settings that were not required and could not be made, in words. */
  readonly cgroupProblems: readonly string[]
  readonly exit: Exit | undefined
  /**
   * Settles once, when it has ended, and never rejects. `lost` when no launcher was there to read the status, when it
   * is `partial`, and when it was destroyed before its status could be read. Stays pending when the launcher is
   * closed before that.
   */
  readonly exited: Promise<Exit>
  /**
   * A signal number, 1 to 64. A process that has ended is no error. `all`: everything that belongs to it, also what it has
   * left running, and what has left its group.
   */
  signal(signal: number, whom: 'leader' | 'group' | 'all'): Promise<void>
  /** How many processes of it run: itself, and what it has started as far as it can be found. */
  living(): Promise<number>
  /** The last bytes of a `held` stream, at most 64 KiB; empty for the others. */
  output(stream: 'stdout' | 'stderr'): Promise<Uint8Array>
  /**
   * Opens the pipes of a `piped` process, once. Until then the launcher keeps what it writes, as far as a pipe holds it;
   * a process whose pipes are never opened waits for that. `wrong-state` for a process without pipes.
   */
  openPipes(): Promise<HostProcessPipes>
  /**
   * The host's pid of the first child: under a bwrap monitor that is the init of the pid namespace. It is remembered
   * in the record, so that `destroy` finds it also when the monitor is gone. Undefined while there is none.
   */
  initPid(): Promise<number | undefined>
}
