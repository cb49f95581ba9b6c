import type { Clock, DiskId, Exit, LimitReport, MachineId, MachineSpec, Random, SnapshotId } from '@cove/domain'
import { FakeFiles, FakeGuest } from '@cove/guest-link/testing'

/** One machine that exists only here. */
export interface FakeMachineState {
  readonly id: MachineId
  readonly spec: MachineSpec
  readonly limits: readonly LimitReport[]
  readonly guest: FakeGuest
  readonly exited: Promise<Exit>
  exit: Exit | undefined
  paused: boolean
  /** Made so far that only `destroy` is meaningful. */
  partial: boolean
  /** Ends it from outside, as a crash or the kernel would. */
  end(exit: Exit): void
}

/** Places at which a test can make the driver wait or fail: each is awaited, and what it throws the driver meets. */
export interface FakeFaults {
  beforeCreate?: ((id: MachineId, signal: AbortSignal) => void | Promise<void>) | undefined
  /** The machine exists, the caller does not know it yet. */
  afterBuilt?: ((id: MachineId, signal: AbortSignal) => void | Promise<void>) | undefined
  beforeConnect?: ((id: MachineId) => void | Promise<void>) | undefined
  beforeStop?: ((id: MachineId) => void | Promise<void>) | undefined
  beforeDestroy?: ((id: MachineId) => void | Promise<void>) | undefined
  /** Its memory is to be saved. */
  beforeSave?: ((id: MachineId) => void | Promise<void>) | undefined
  /** Its disk is to be read. */
  beforeRead?: ((id: MachineId) => void | Promise<void>) | undefined
  beforeRecover?: (() => void | Promise<void>) | undefined
}

/** What a host would keep while daemons come and go: give the same world to the next driver. */
export class FakeWorld {
  readonly machines = new Map<MachineId, FakeMachineState>()
  readonly disks = new Map<DiskId, FakeFiles>()
  readonly snapshots = new Map<SnapshotId, FakeGuest>()
  readonly faults: FakeFaults = {}
  readonly #clock: Clock
  readonly #random: Random

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Starts a guest on the disk that the spec names, made when it is new. */
  build(id: MachineId, spec: MachineSpec, limits: readonly LimitReport[]): FakeMachineState {
    const fresh = spec.disk === undefined || !this.disks.has(spec.disk)
    const saved = spec.from.kind === 'snapshot' && fresh ? this.snapshots.get(spec.from.id) : undefined
    if (saved !== undefined && spec.disk !== undefined) this.disks.set(spec.disk, saved.files.copy())
    const files = spec.disk === undefined ? new FakeFiles(this.#clock) : this.#disk(spec.disk)
    const guest = saved?.copy(files, this.#random) ?? new FakeGuest({ clock: this.#clock, random: this.#random, files })
    const { promise, resolve } = Promise.withResolvers<Exit>()
    const state: FakeMachineState = {
      id,
      spec,
      limits,
      guest,
      exited: promise,
      exit: undefined,
      paused: false,
      partial: false,
      end: (exit) => {
        if (state.exit !== undefined) return
        state.exit = exit
        resolve(exit)
        guest.stop()
      },
    }
    this.machines.set(id, state)
    // The agent ends by itself only when it was asked to.
    void guest.exited.then(() => state.end({ kind: 'exited', code: 0 }))
    return state
  }

  remove(id: MachineId): void {
    this.machines.get(id)?.end({ kind: 'signaled', signal: 9 })
    this.machines.delete(id)
  }

  /** Keeps it as it is now, without what runs in it. */
  save(id: SnapshotId, { guest }: FakeMachineState): void {
    this.snapshots.set(id, guest.copy(guest.files.copy(), this.#random))
  }

  userOf(disk: DiskId): MachineId | undefined {
    return [...this.machines.values()].find(({ spec }) => spec.disk === disk)?.id
  }

  #disk(id: DiskId): FakeFiles {
    const known = this.disks.get(id)
    if (known !== undefined) return known
    const files = new FakeFiles(this.#clock)
    this.disks.set(id, files)
    return files
  }
}
