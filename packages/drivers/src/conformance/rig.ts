import type { Driver, Exit, KeepsDisks, LimitName, MachineId, TemplateRoot } from '@cove/domain'

/** A way to make the next create go wrong inside the driver. */
export interface Fault {
  readonly name: string
  arm(): void | Promise<void>
  disarm(): void | Promise<void>
}

/** One driver with its world around it, as a test sees it. */
export interface DriverRig extends AsyncDisposable {
  readonly driver: Driver & KeepsDisks
  /** What its machines are made from. Default: the host's own programs. */
  readonly from?: TemplateRoot
  /** The daemon is gone without a word; another one opens the driver over what is left. */
  restart(): Promise<Driver & KeepsDisks>
  /** Ends the machine's guest agent from outside with KILL; how the driver must tell it. */
  killGuest(id: MachineId): Promise<Exit>
  /** Everything on the host that machines have left, in words. Empty when none is there. */
  leftovers(): Promise<readonly string[]>
  readonly faults: readonly Fault[]
  readonly traits: {
    /** Users inside that commands can run as. */
    readonly users: readonly string[]
    /** Limits that it enforces when they are required. */
    readonly enforces: readonly LimitName[]
    /** Each machine has files of its own, so that the same path is another file in another machine. */
    readonly ownFiles: boolean
    readonly pausable: boolean
    /** It has the network `internet` here. */
    readonly internet?: boolean
    /** It saves the memory of machines, and makes machines that go on from there. */
    readonly savesMemory?: boolean
    /** What ends when a machine needs more memory than it may: a process in it (default), or all of it. */
    readonly outOfMemory?: 'process' | 'machine'
    /** False: it must refuse volumes. */
    readonly volumes?: boolean
    /** It tells what a machine has written. */
    readonly readsDisk?: boolean
    /** Limits of a running machine can be changed: all, or those of the processor alone. */
    readonly resizable?: boolean | 'cpus'
    /** Machines have a kernel of their own: what that has not written to the disk is lost when it is cut off. */
    readonly ownKernel?: boolean
    /** False: machines run under software emulation here. Default true. */
    readonly native?: boolean
  }
}

export type RigFactory = () => Promise<DriverRig>
