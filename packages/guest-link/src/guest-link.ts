import type { Duplex } from 'node:stream'
import type { CoveError, Guest, GuestIdentity, Random } from '@cove/domain'

/** The daemon's side of one machine's guest agent: what the doors ask for, and what only the node asks for. */
export interface GuestLink extends Guest, AsyncDisposable {
  /**
   * Makes the machine a particular sandbox; may be repeated, the last one holds. With a token in it, this link shows that
   * one from then on. `unsupported` when the agent is too old for something in it; the rest has been done then.
   */
  configure(identity: GuestIdentity, signal?: AbortSignal): Promise<void>
  /** Syncs the guest's file systems; while on, new processes are refused with `busy`. */
  quiesce(on: boolean, signal?: AbortSignal): Promise<void>
  /** TERM to everything, then KILL after `graceMs`; the agent ends. Resolves when the guest has taken it. */
  shutdown(graceMs: number, signal?: AbortSignal): Promise<void>
  readonly agentVersion: string
  /** Hex; new at every start of the agent, so it may change when the link connects again. */
  readonly instance: string
  /**
   * Resolves when the link is over for good: with nothing after `close`, with `stale-session` when another daemon
   * has taken over, with `unauthenticated` or `unsupported` when the guest will not have this one. After anything
   * else the next call connects again by itself.
   */
  readonly closed: Promise<CoveError | undefined>
  /** Ends the session; the guest and its processes go on. Safe to call twice. */
  close(): Promise<void>
}

export interface GuestLinkOptions {
  /** A new byte stream to the agent; called again after a drop. */
  connect(signal: AbortSignal): Promise<Duplex>
  /** 32 bytes; the first ever sent to an agent binds it. */
  readonly token: Uint8Array
  /** Higher at every call, also over restarts of the daemon. */
  nextEpoch(): number
  readonly random: Random
  /** The stream is one pipe or serial port that outlives sessions, not a connection of its own. */
  readonly singleStream?: boolean
  /** Cancels the opening; once the link is open it has no effect. */
  readonly signal?: AbortSignal
}
