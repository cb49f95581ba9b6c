import type { Duplex } from 'node:stream'
import type { Exit } from '../exit.ts'
import type { DiskId, MachineId } from '../ids.ts'
import type { Isolation } from '../isolation.ts'
import type { LimitReport, Limits } from '../limits.ts'
import type { Network } from '../network.ts'

/**
 * One way to build the wall on a node. Small mandatory core; capabilities are separate interfaces with a
 * type guard each. A driver never forges, never guesses, never leaks.
 */
export interface Driver {
  readonly name: string
  readonly isolation: Isolation
  /** Proves itself by running a machine; says why not, and the fix. Never throws for a missing tool. */
  fingerprint(signal: AbortSignal): Promise<Fingerprint>
  /** What it cannot give or enforce. Empty means: `create` will try. */
  validate(spec: MachineSpec): readonly Problem[]
  /**
   * Builds the machine and returns once its guest stream can be connected (the guest may still be starting).
   * A failed or cancelled create leaves nothing behind.
   */
  create(id: MachineId, spec: MachineSpec, context: CreateContext): Promise<Machine>
  /** After a restart of the daemon: every machine this driver knows of, each exactly once. */
  recover(): AsyncIterable<Recovered>
  /** Idempotent and convergent, also for half-made machines and ids it never saw. Keeps named disks. */
  destroy(id: MachineId): Promise<void>
  /** Lets go of sockets and watchers; machines keep running. */
  close(): Promise<void>
}

export interface Machine {
  readonly id: MachineId
  /** What became of the limits that were asked for. */
  readonly limits: readonly LimitReport[]
  /** A new byte stream to the guest agent; may be called again after a drop. */
  connectGuest(signal: AbortSignal): Promise<Duplex>
  /** Settles once, when the machine has ended, with how it ended. Never rejects. */
  readonly exited: Promise<Exit>
  /** Asks the guest to end, then forces it after `graceMs` milliseconds. Safe to call twice. */
  stop(graceMs: number): Promise<Exit>
  stats(): Promise<MachineStats>
}

export interface MachineSpec {
  readonly from: TemplateRoot | SnapshotRef
  readonly limits: Limits
  readonly network: Network
  /** Name inside the machine; a DNS label. */
  readonly hostname: string
  /**
   * The writable layer to use, made when it does not exist yet; it outlives the machine until `removeDisk`.
   * Without it, what the machine writes goes away with the machine.
   */
  readonly disk?: DiskId
}

/** A template's root filesystem, as far as a driver needs to know it. */
export type TemplateRoot =
  /** The host's own `/usr`, read-only, and a generated minimum of `/etc`. */
  | { readonly kind: 'host' }
  /** Directories stacked on each other, the first on top, as in overlayfs. */
  | { readonly kind: 'layers'; readonly lower: readonly string[] }

export interface SnapshotRef {
  readonly kind: 'snapshot'
  readonly id: string
}

export interface CreateContext {
  readonly signal: AbortSignal
  /** Told in words for people, for example "pulling layer 3 of 7". */
  readonly progress: (step: string) => void
}

/** Why a spec cannot be honoured. */
export interface Problem {
  readonly field: string
  readonly message: string
  readonly fix: string
}

export type Fingerprint =
  | {
      readonly proven: true
      /** True when machines run at native speed; false under software emulation. */
      readonly native: boolean
      /** Versions and facts worth showing, such as `bubblewrap 0.8.0`. */
      readonly details: Readonly<Record<string, string>>
      /** Limits that this driver can enforce here. */
      readonly enforces: readonly (keyof Limits)[]
    }
  | { readonly proven: false; readonly reason: string; readonly fix: string }

export type Recovered =
  | { readonly kind: 'running'; readonly machine: Machine }
  | { readonly kind: 'exited'; readonly id: MachineId; readonly exit: Exit }
  /** Half-made: only `destroy` is meaningful. */
  | { readonly kind: 'partial'; readonly id: MachineId }

export interface MachineStats {
  /** Bytes in use by everything in the machine; undefined when it cannot be measured. */
  readonly memoryBytes?: number
  /** Processor time used so far, in milliseconds. */
  readonly cpuMs?: number
  readonly processes?: number
  readonly diskBytes?: number
}

/** Keeps writable layers apart from machines, so that a stopped sandbox keeps its disk. */
export interface KeepsDisks {
  listDisks(): Promise<readonly DiskId[]>
  /** Idempotent. Refused with `wrong-state` while a machine uses the disk. */
  removeDisk(id: DiskId): Promise<void>
}
export const keepsDisks = (driver: Driver): driver is Driver & KeepsDisks => 'removeDisk' in driver

/** Freezes the machine from outside: timeouts and idle clocks inside stand still. */
export interface Pausable {
  pause(): Promise<void>
  resume(): Promise<void>
}
export const isPausable = (machine: Machine): machine is Machine & Pausable => 'pause' in machine && 'resume' in machine

export interface Snapshotter {
  snapshot(kind: 'filesystem' | 'memory', context: CreateContext): Promise<SnapshotRef>
}
export const isSnapshotter = (machine: Machine): machine is Machine & Snapshotter => 'snapshot' in machine

export interface Forkable {
  /** Running children of a running machine, one per id, each with its own identity. */
  fork(ids: readonly MachineId[], context: CreateContext): Promise<readonly Machine[]>
}
export const isForkable = (machine: Machine): machine is Machine & Forkable => 'fork' in machine

export interface HasDisplay {
  /** A byte stream that speaks RFB (RFC 6143). */
  connectDisplay(signal: AbortSignal): Promise<Duplex>
}
export const hasDisplay = (machine: Machine): machine is Machine & HasDisplay => 'connectDisplay' in machine

export interface HasConsole {
  /** The last bytes of the machine's console, newest last, at most `maxBytes`. */
  consoleTail(maxBytes: number): Promise<Uint8Array>
}
export const hasConsole = (machine: Machine): machine is Machine & HasConsole => 'consoleTail' in machine

export interface Resizable {
  resize(limits: Limits): Promise<readonly LimitReport[]>
}
export const isResizable = (machine: Machine): machine is Machine & Resizable => 'resize' in machine

export interface Balloon {
  /** Gives memory back to the host until about this many bytes remain for the guest. */
  setMemoryTarget(bytes: number): Promise<void>
}
export const hasBalloon = (machine: Machine): machine is Machine & Balloon => 'setMemoryTarget' in machine
