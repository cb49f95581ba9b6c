import type { Duplex } from 'node:stream'
import type { Exit } from '../exit.ts'
import type { DiskId, ImageId, MachineId, SnapshotId } from '../ids.ts'
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
  /**
   * True where it is known, without running a machine, that machines could only run under software emulation: nobody
   * who looks for native speed has to wait for its proof. Default: false.
   */
  emulates?(): Promise<boolean>
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
  /** The guest stream is one pipe or serial port that outlives sessions, not a connection of its own each time. */
  readonly singleStream?: boolean
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
  readonly volumes?: readonly VolumeMount[]
}

/** A directory of the host, a file system of its own, that is shown inside. Files keep their owners' numbers. */
export interface VolumeMount {
  /** On the host, absolute; exists. */
  readonly source: string
  /** Inside, absolute and normalized; made when it is not there. Not `/`, nor at or below `/proc`, `/sys`, `/dev`, `/run`. */
  readonly target: string
  readonly readOnly: boolean
}

/** A template's root filesystem, as far as a driver needs to know it. */
export type TemplateRoot =
  /** The host's own `/usr`, read-only, and a generated minimum of `/etc`. */
  | {
      readonly kind: 'host'
      /** Directories laid over it, the first on top. A folder `usr` in one lies over the host's `/usr`. */
      readonly layers?: readonly string[]
    }
  /**
   * Directories stacked on each other, the first on top, as in overlayfs. Whiteouts are character devices 0:0; opaque
   * directories carry the attribute in the namespaces `trusted` and `user`. Owners are the image's own numbers.
   */
  | {
      readonly kind: 'layers'
      readonly lower: readonly string[]
      /** The image they come from, for drivers that have image stores of their own. */
      readonly image?: ImageId
    }

/** A `memory` snapshot that this driver keeps: the machine goes on where it was. */
export interface SnapshotRef {
  readonly kind: 'snapshot'
  readonly id: SnapshotId
  /** The root that the saved machine was made from. */
  readonly root: TemplateRoot
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

/** Freezes the machine from outside: timeouts and idle clocks inside stand still. Both may be asked for what is so already. */
export interface Pausable {
  pause(): Promise<void>
  resume(): Promise<void>
}
export const isPausable = (machine: Machine): machine is Machine & Pausable => 'pause' in machine && 'resume' in machine

/** Can tell what the machine has written over its root. */
export interface DiskReader {
  /**
   * The machine is frozen until the result is disposed; `quiesce` of a guest with a kernel of its own is the caller's,
   * before. A machine that was frozen when the daemon died is resumed by the next one. Nothing of the
   * host is shown that is not the machine's.
   */
  readDisk(context: CreateContext): Promise<DiskContent & AsyncDisposable>
}
export const readsDisk = (machine: Machine): machine is Machine & DiskReader => 'readDisk' in machine

/** What has been written over a root. */
export type DiskContent =
  /**
   * Upper directories of overlays, each to be put below `at`. Owners on the host are those inside plus `idBase`.
   * Whiteouts are character devices 0:0; opaque directories have `trusted.overlay.opaque` or `user.overlay.opaque`.
   */
  | {
      readonly kind: 'upper'
      readonly parts: readonly { readonly path: string; readonly at: string }[]
      readonly idBase: number
      /** A layer under those that is not part of the root; its owners on the host are those inside. */
      readonly below?: string
    }
  /** A layer as in the OCI image specification, not compressed: `.wh.` names are whiteouts. */
  | { readonly kind: 'tar'; readonly tar: AsyncIterable<Uint8Array> }

/** What has been saved of one machine. */
export interface SavedMachineMemory {
  /** What it takes beside what it shares. */
  readonly bytes: number
  /** What it was saved with and needs again, such as `qemu: 7.2.0`, for people. */
  readonly details?: Readonly<Record<string, string>>
}

/** Saves whole running machines, memory and disk, from which any number can be made. */
export interface MemorySnapshotter {
  /**
   * The machine goes on afterwards. What was made of a failed or cancelled one is gone. `create` with a `SnapshotRef`
   * of this id gives machines that go on from here; what they write is their own.
   */
  snapshotMemory(id: SnapshotId, context: CreateContext): Promise<SavedMachineMemory>
}
export const savesMemory = (machine: Machine): machine is Machine & MemorySnapshotter => 'snapshotMemory' in machine

/** Keeps memory snapshots apart from the machines that they were made of. */
export interface KeepsSnapshots {
  listSnapshots(): Promise<readonly SnapshotId[]>
  /** Idempotent. Machines that were made of it go on. */
  removeSnapshot(id: SnapshotId): Promise<void>
}
export const keepsSnapshots = (driver: Driver): driver is Driver & KeepsSnapshots => 'removeSnapshot' in driver

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
  /** Changes what it names; required limits that cannot be enforced are refused and nothing is changed. */
  resize(limits: Limits): Promise<readonly LimitReport[]>
}
export const isResizable = (machine: Machine): machine is Machine & Resizable => 'resize' in machine

/** Can be given another host name from outside, where what is inside may not do so. */
export interface Renamable {
  rename(hostname: string): Promise<void>
}
export const isRenamable = (machine: Machine): machine is Machine & Renamable => 'rename' in machine

export interface Balloon {
  /** Gives memory back to the host until about this many bytes remain for the guest. */
  setMemoryTarget(bytes: number): Promise<void>
}
export const hasBalloon = (machine: Machine): machine is Machine & Balloon => 'setMemoryTarget' in machine
