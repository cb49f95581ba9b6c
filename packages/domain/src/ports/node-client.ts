import type { Exit } from '../exit.ts'
import type { SandboxId, SnapshotId } from '../ids.ts'
import type { Isolation } from '../isolation.ts'
import type { LimitReport, Limits } from '../limits.ts'
import type { PausedTo, SandboxSpec } from '../sandbox.ts'
import type { Fingerprint, MachineStats } from './driver.ts'
import type { Guest } from './guest.ts'
import type { NodeBuilds, NodeImages, NodePools, NodeSnapshots, NodeVolumes, SavedSnapshot } from './node-facets.ts'

/**
 * How the control plane reaches one node: a function call in `cove up`, a remote call in a cluster.
 * The node owns machine truth; whoever asks twice gets the same answer.
 */
export interface NodeClient {
  readonly name: string
  /** The newest verdicts; waits only for the first ones. */
  drivers(signal?: AbortSignal): Promise<readonly DriverReport[]>
  /** Proves every driver anew. */
  diagnose(signal: AbortSignal): Promise<readonly DriverReport[]>
  /**
   * Makes the machine of this incarnation, or returns the one that is there already. On failure nothing of this
   * incarnation is left; the disk of an earlier one stays. `driver-failed` when this incarnation's machine has been
   * made and has ended since; `stale-incarnation` when a later one is there; `wrong-state` while an earlier one runs.
   */
  create(request: NodeCreate, signal?: AbortSignal): Promise<NodeSandbox>
  /** Ends the machine and keeps the disk. Idempotent. */
  stop(id: SandboxId, incarnation: number, graceMs: number): Promise<Exit>
  /** Ends the machine and removes everything of the sandbox. Idempotent, also for ids it never saw. */
  destroy(id: SandboxId): Promise<void>
  /** Everything this node holds, ended machines included until they are destroyed. */
  list(): Promise<readonly NodeSandbox[]>
  /** Tells of machines that end by themselves, from now on. Ends when the signal aborts. */
  watch(signal: AbortSignal): AsyncIterable<NodeEvent>
  /** The data path. Rejects with `stale-incarnation`, `sandbox-not-found` or `wrong-state`. */
  guest(id: SandboxId, incarnation: number): Promise<Guest>
  /** What the running machine uses now. Rejects as `guest` does. */
  stats(id: SandboxId, incarnation: number): Promise<MachineStats>
  /**
   * Freezes the machine, or saves its memory and takes it away; idempotent. `unsupported` where the driver cannot: then
   * it runs on, or stays frozen when it was.
   */
  pause(id: SandboxId, incarnation: number, to?: PausedTo): Promise<void>
  /** Lets it go on where it was, whichever way it was paused. What cannot be woken stays paused. */
  resume(id: SandboxId, incarnation: number, spec: SandboxSpec): Promise<void>
  /** Changes the limits that it names. `unsupported`, or `limit-not-enforceable` and nothing is changed. */
  resize(id: SandboxId, incarnation: number, limits: Limits): Promise<readonly LimitReport[]>
  /** Saves a running machine, which goes on afterwards. What was made of one that failed is gone. */
  snapshot(id: SandboxId, incarnation: number, request: NodeSnapshot, signal: AbortSignal): Promise<SavedSnapshot>
  readonly snapshots: NodeSnapshots
  readonly images: NodeImages
  readonly builds: NodeBuilds
  readonly volumes: NodeVolumes
  readonly pools: NodePools
}

export interface NodeSnapshot {
  readonly id: SnapshotId
  readonly kind: 'filesystem' | 'memory'
  readonly progress?: (step: string) => void
}

export interface NodeCreate {
  readonly spec: SandboxSpec
  readonly incarnation: number
  readonly progress?: (step: string) => void
}

export interface NodeSandbox {
  readonly id: SandboxId
  readonly incarnation: number
  readonly driver: string
  readonly isolation: Isolation
  readonly limits: readonly LimitReport[]
  /** Made ahead and taken from a pool. */
  readonly pooled?: boolean
  /** Went on from a saved memory. */
  readonly restored?: boolean
  /** Why it has started, though there is a memory that it should have gone on from. */
  readonly notRestored?: string
  readonly state: 'creating' | 'running' | 'paused' | 'stopped' | 'ended'
  /** Of one that is `paused`. */
  readonly pausedTo?: PausedTo
  /** Present when `ended` or `stopped`. */
  readonly exit?: Exit
}

export interface NodeEvent {
  readonly type: 'ended'
  readonly id: SandboxId
  readonly incarnation: number
  readonly exit: Exit
}

export interface DriverReport {
  readonly name: string
  readonly isolation: Isolation
  readonly fingerprint: Fingerprint
  /** Keeps memory snapshots; whether a certain machine can be saved its driver says then. */
  readonly savesMemory?: boolean
  /** True for the driver that `auto` takes. */
  readonly chosen: boolean
}
