import { Readable, type Duplex } from 'node:stream'
import {
  CoveError,
  LIMIT_NAMES,
  type CreateContext,
  type DiskContent,
  type DiskId,
  type DiskReader,
  type Driver,
  type Exit,
  type Fingerprint,
  type Isolation,
  type KeepsDisks,
  type KeepsSnapshots,
  type LimitName,
  type LimitReport,
  type Limits,
  type Machine,
  type MachineId,
  type MachineSpec,
  type MachineStats,
  type MemorySnapshotter,
  type Pausable,
  type Problem,
  type Recovered,
  type SnapshotId,
} from '@cove/domain'
import { checkSpec, hostSize, refuseProblems, type HostSize, type InternetSupport } from '../host/check-spec.ts'
import { tarOfFiles } from './fake-disk.ts'
import type { FakeMachineState, FakeWorld } from './fake-world.ts'

export interface FakeDriverOptions {
  readonly world: FakeWorld
  /** Default `fake`. */
  readonly name?: string
  /** Default `namespace`. */
  readonly isolation?: Isolation
  /** What `fingerprint` says; default: proven, at native speed. */
  readonly fingerprint?: Fingerprint
  /** Limits that it cannot enforce. Default: none. */
  readonly unenforced?: readonly LimitName[]
  /** Why it has no network `internet`. Default: it says that it has. */
  readonly noInternet?: string
  /** Default: this host's. */
  readonly host?: HostSize
}

/** Machines in memory: the same contract, no processes, and faults on request. */
export function createFakeDriver(options: FakeDriverOptions): Driver & KeepsDisks & KeepsSnapshots {
  return new FakeDriver(options)
}

const UNENFORCED = 'the fake driver was told not to'

class FakeDriver implements Driver, KeepsDisks, KeepsSnapshots {
  readonly name: string
  readonly isolation: Isolation
  readonly #world: FakeWorld
  readonly #fingerprint: Fingerprint
  readonly #unenforced: readonly LimitName[]
  readonly #host: HostSize
  readonly #internet: InternetSupport
  readonly #creating = new Set<MachineId>()

  constructor(options: FakeDriverOptions) {
    this.name = options.name ?? 'fake'
    this.isolation = options.isolation ?? 'namespace'
    this.#world = options.world
    this.#unenforced = options.unenforced ?? []
    const { noInternet: reason } = options
    this.#internet = reason === undefined ? { available: true } : { available: false, reason, fix: 'Ask the test.' }
    this.#host = options.host ?? hostSize()
    const enforces = LIMIT_NAMES.filter((name) => !this.#unenforced.includes(name))
    this.#fingerprint = options.fingerprint ?? { proven: true, native: true, details: {}, enforces }
  }

  fingerprint(signal: AbortSignal): Promise<Fingerprint> {
    if (signal.aborted) return Promise.reject(CoveError.from(signal.reason, 'cancelled'))
    return Promise.resolve(this.#fingerprint)
  }

  validate(spec: MachineSpec): readonly Problem[] {
    const missing = Object.fromEntries(this.#unenforced.map((name) => [name, UNENFORCED]))
    const saved = spec.from.kind === 'snapshot' && this.#world.snapshots.has(spec.from.id)
    return checkSpec(spec, this.#host, missing, this.#internet, saved)
  }

  async create(id: MachineId, spec: MachineSpec, context: CreateContext): Promise<Machine> {
    const { machines, disks, faults } = this.#world
    refuseProblems(this.validate(spec))
    if (machines.has(id) || this.#creating.has(id)) {
      throw new CoveError('already-exists', `machine ${id} exists already`, { machine: id })
    }
    if (spec.disk !== undefined) this.#refuseUsedDisk(spec.disk)
    const newDisk = spec.disk !== undefined && !disks.has(spec.disk)
    this.#creating.add(id)
    try {
      throwIfAborted(context.signal)
      await faults.beforeCreate?.(id, context.signal)
      throwIfAborted(context.signal)
      context.progress('starting the machine')
      const state = this.#world.build(id, spec, this.#reports(spec.limits))
      await faults.afterBuilt?.(id, context.signal)
      throwIfAborted(context.signal)
      return new FakeMachine(state, this.#world)
    } catch (error) {
      this.#world.remove(id)
      if (newDisk && spec.disk !== undefined) disks.delete(spec.disk)
      throw CoveError.from(error, 'driver-failed')
    } finally {
      this.#creating.delete(id)
    }
  }

  async *recover(): AsyncIterable<Recovered> {
    await this.#world.faults.beforeRecover?.()
    for (const state of this.#world.machines.values()) {
      if (state.partial) yield { kind: 'partial', id: state.id }
      else if (state.exit === undefined) yield { kind: 'running', machine: new FakeMachine(state, this.#world) }
      else yield { kind: 'exited', id: state.id, exit: state.exit }
    }
  }

  async destroy(id: MachineId): Promise<void> {
    await this.#world.faults.beforeDestroy?.(id)
    this.#world.remove(id)
  }

  listDisks(): Promise<readonly DiskId[]> {
    return Promise.resolve([...this.#world.disks.keys()])
  }

  async removeDisk(id: DiskId): Promise<void> {
    await Promise.resolve()
    this.#refuseUsedDisk(id)
    this.#world.disks.delete(id)
  }

  listSnapshots(): Promise<readonly SnapshotId[]> {
    return Promise.resolve([...this.#world.snapshots.keys()])
  }

  async removeSnapshot(id: SnapshotId): Promise<void> {
    await Promise.resolve()
    this.#world.snapshots.delete(id)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #refuseUsedDisk(disk: DiskId): void {
    const machine = this.#world.userOf(disk)
    if (machine !== undefined) {
      throw new CoveError('wrong-state', `disk ${disk} is in use by machine ${machine}`, { disk, machine })
    }
  }

  #reports(limits: Limits): readonly LimitReport[] {
    return LIMIT_NAMES.flatMap((name): readonly LimitReport[] => {
      const limit = limits[name]
      if (limit === undefined) return []
      if (this.#unenforced.includes(name)) return [{ name, value: limit.value, enforced: false, reason: UNENFORCED }]
      return [{ name, value: limit.value, enforced: true }]
    })
  }
}

class FakeMachine implements Machine, Pausable, DiskReader, MemorySnapshotter {
  readonly id: MachineId
  readonly limits: readonly LimitReport[]
  readonly exited: Promise<Exit>
  readonly #state: FakeMachineState
  readonly #world: FakeWorld

  constructor(state: FakeMachineState, world: FakeWorld) {
    this.id = state.id
    this.limits = state.limits
    this.exited = state.exited
    this.#state = state
    this.#world = world
  }

  async connectGuest(signal: AbortSignal): Promise<Duplex> {
    throwIfAborted(signal)
    await this.#world.faults.beforeConnect?.(this.id)
    throwIfAborted(signal)
    return this.#state.guest.connect()
  }

  async stop(): Promise<Exit> {
    if (this.#state.exit !== undefined) return this.#state.exit
    await this.#world.faults.beforeStop?.(this.id)
    // A fake guest has nothing to save: asked to end, it has ended.
    this.#state.end({ kind: 'exited', code: 0 })
    return this.exited
  }

  stats(): Promise<MachineStats> {
    return Promise.resolve({ memoryBytes: 1 << 20, cpuMs: 1, processes: 1 + this.#state.guest.processes.size })
  }

  pause(): Promise<void> {
    this.#state.paused = true
    return Promise.resolve()
  }

  resume(): Promise<void> {
    this.#state.paused = false
    return Promise.resolve()
  }

  async snapshotMemory(id: SnapshotId, { signal }: CreateContext): Promise<{ readonly bytes: number }> {
    throwIfAborted(signal)
    await this.#world.faults.beforeSave?.(this.id)
    throwIfAborted(signal)
    if (this.#state.exit !== undefined) throw new CoveError('wrong-state', `machine ${this.id} does not run`)
    this.#world.save(id, this.#state)
    return { bytes: 1 << 20 }
  }

  async readDisk({ signal }: CreateContext): Promise<DiskContent & AsyncDisposable> {
    throwIfAborted(signal)
    await this.#world.faults.beforeRead?.(this.id)
    await this.pause()
    const tar = Readable.from(tarOfFiles(this.#state.guest.files))
    return { kind: 'tar', tar, [Symbol.asyncDispose]: () => this.resume() }
  }
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
}
