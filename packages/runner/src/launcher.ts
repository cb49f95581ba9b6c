import type { HostProcess } from './host-process.ts'
import type { HostProcessSpec } from './host-process-spec.ts'

/** One process for ever: a pid alone is used again. */
export type NamedProcess = Pick<HostProcess, 'pid' | 'startTime'>

/**
 * The door to host processes that outlive the daemon. Calls made while the launcher is being started again wait for
 * it, at most 5 s, then fail with `launcher-unavailable`; so do calls that were under way when it was killed.
 */
export interface Launcher extends AsyncDisposable {
  /**
   * Starts one; resolves when its record is on disk and exec has happened. A start that fails leaves nothing behind:
   * what it made and everything in `removeOnDestroy` is gone. When the signal aborts the start is undone and the call
   * fails with `cancelled`. `already-exists` (nothing changed) for an id that has a record, or when a folder, cgroup
   * or socket that should be made is there already; `command-not-found` when there is no such program; `no-space`;
   * `permission-denied`; `limit-not-enforceable` for a required setting of a control group; `driver-failed` for
   * everything else that the kernel refuses. After `launcher-unavailable` nobody knows how far it came: destroy the id.
   */
  start(spec: HostProcessSpec, signal?: AbortSignal): Promise<HostProcess>
  /** All recorded, also those that an older or killed launcher started, in the order of their ids. */
  list(): Promise<readonly HostProcess[]>
  get(id: string): Promise<HostProcess | undefined>
  /**
   * Ends everything of this id (its tree, session and group, the init of its pid namespace, all in its cgroups), waits
   * until it is gone, then removes cgroups, paths and the record. Idempotent, also for ids it never saw, and
   * convergent: after `deadline-exceeded` (30 s; something cannot be killed) call it again.
   */
  destroy(id: string): Promise<void>
  /**
   * Ends everything of ephemeral owners that do not live any more, and answers when it is gone: with how many there were.
   * The launcher does so by itself when an owner ends and when it takes over from a dead one; this tries again what could
   * not be ended then. Safe at the same time from several programs.
   */
  sweep(): Promise<number>
  /**
   * Gives the machine that this process belongs to a host name, where the machine may not do that itself. `wrong-state`
   * when the process has the host's own name, or has ended.
   */
  setHostname(process: NamedProcess, name: string): Promise<void>
  /** Ends the launcher program itself and closes. `wrong-state` while a recorded process lives. */
  stopLauncher(): Promise<void>
  /** Lets go of the connection; processes and launcher stay. Safe to call twice. */
  close(): Promise<void>
}
