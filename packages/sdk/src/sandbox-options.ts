import type { CallOptions } from './call-options.ts'
import type { SnapshotKind } from './snapshots.ts'
import type { VolumeMount } from './volumes.ts'
import type { Isolation, Network, SandboxState, Timeout } from '@cove/domain'

/** What a new sandbox is to be. Everything has a default. */
export interface CreateOptions {
  /** Default `host`. */
  readonly template?: string
  /** Id or name of a snapshot to go on from, in place of a template. */
  readonly snapshot?: string
  /** Directories that outlive the sandbox, and where they are to be seen. */
  readonly volumes?: readonly VolumeMount[]
  /** Unique among the live sandboxes. */
  readonly name?: string
  /** The weakest wall that is acceptable. Default: what the installation takes. */
  readonly isolation?: Isolation
  /** One driver by name. Default: the strongest that runs at native speed here. */
  readonly driver?: string
  /** What is named here is enforced, or the create is refused. */
  readonly limits?: LimitOptions
  /** Default `none`. */
  readonly network?: 'none' | 'internet' | Network
  /** Variables of every process in it. */
  readonly env?: Readonly<Record<string, string>>
  /** For finding it again: `list({ labels })`. */
  readonly labels?: Readonly<Record<string, string>>
  /** Milliseconds from the last activity to the end, or to its pause. Default 30 minutes. */
  readonly idleTimeout?: Timeout
  /** What happens to it after that time: `pause` to disk where its driver can, else in memory. Default `delete`. */
  readonly onIdle?: 'delete' | 'pause'
  /** Resume it when it is used while it is paused. Default: when it is paused by being idle. */
  readonly autoResume?: boolean
  /** Milliseconds from creation to the end, whatever happens. Default never. */
  readonly lifetime?: Timeout
  /**
   * 1 to 64 printable characters: the same key with the same options answers with the same sandbox for 24 hours.
   * Default: a new key for each call, so that its own retries make one sandbox only. Empty: none, and a sandbox without
   * a name that is being made when its caller goes away, also by `signal`, is removed.
   */
  readonly idempotencyKey?: string
}

/** Limits by name. What is named is enforced, or the create is refused with `limit-not-enforceable`. */
export interface LimitOptions {
  readonly memoryBytes?: number
  /** Fractions allowed: 0.5 is half of one. */
  readonly cpus?: number
  /** Processes and threads together. */
  readonly processes?: number
  /** Of everything that is written in it. */
  readonly diskBytes?: number
}

/** The two clocks of a sandbox, in milliseconds. What is left out stays as it is. */
export interface TimeoutUpdate {
  /** From the last activity to the end. */
  readonly idleTimeout?: Timeout
  /** From now to the end. */
  readonly lifetime?: Timeout
}

/** Which sandboxes are meant; what is left out does not matter. */
export interface ListFilter {
  /** In one of these states. Default: any. */
  readonly states?: readonly SandboxState[]
  /** All of these labels with these values. */
  readonly labels?: Readonly<Record<string, string>>
  readonly template?: string
  readonly name?: string
  /** Ended ones too, as long as their tombstones are kept. */
  readonly includeDeleted?: boolean
}

/** Which sandboxes are listed, and how many are asked for at once. */
export interface ListOptions extends ListFilter {
  /** Sandboxes asked for at once: 1 to 1,000. Default 100. */
  readonly pageSize?: number
  readonly signal?: AbortSignal
}

/** How a sandbox is stopped. */
export interface StopOptions extends CallOptions {
  /** Milliseconds between TERM and KILL for what runs inside. Default 5,000. */
  readonly graceMs?: number
  /** When not the current one, the call is refused with `stale-incarnation`. */
  readonly incarnation?: number
}

/** How a sandbox is paused. */
export interface PauseOptions extends CallOptions {
  /** Its lifetime goes on while it is paused. Default false. */
  readonly burnLifetime?: boolean
  /**
   * Saves its memory and its disk, and takes its machine away: it uses neither memory nor processors then. Refused with
   * `unsupported` where its driver saves no memory. Default false: it is frozen where it is.
   */
  readonly toDisk?: boolean
}

/** How a sandbox is forked. */
export interface ForkOptions extends CallOptions {
  /** 1 to 64. Default 1. */
  readonly count?: number
  /** Default: with memory where the driver can, else the files only. */
  readonly kind?: SnapshotKind
  /** Added to those of the parent. */
  readonly labels?: Readonly<Record<string, string>>
}

/** What a sandbox uses now. What cannot be measured is absent. */
export interface SandboxStats {
  readonly memoryBytes?: number
  /** Processor time since its machine was made, in milliseconds. */
  readonly cpuMs?: number
  readonly processes?: number
  readonly diskBytes?: number
}
