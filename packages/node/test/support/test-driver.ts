import type { Duplex } from 'node:stream'
import {
  isPausable,
  readsDisk,
  savesMemory,
  type CreateContext,
  type DiskId,
  type DiskReader,
  type Driver,
  type Exit,
  type Fingerprint,
  type Isolation,
  type KeepsDisks,
  type KeepsSnapshots,
  type Machine,
  type MachineId,
  type MachineSpec,
  type Problem,
  type Recovered,
  type SnapshotId,
} from '@cove/domain'
import { createFakeDriver, type FakeWorld } from '@cove/drivers/testing'
import type { Fuse } from './fuse.ts'

export interface TestDriverOptions {
  readonly name?: string
  readonly isolation?: Isolation
}

/**
 * The fake driver as one daemon holds it: whatever it does to the world is a step at which the daemon may die, also
 * in the middle of making or removing a machine. Its public fields are the faults it can be given.
 */
export class TestDriver implements Driver, KeepsDisks, KeepsSnapshots {
  readonly name: string
  readonly isolation: Isolation
  readonly world: FakeWorld
  readonly #inner: Driver & KeepsDisks & KeepsSnapshots
  readonly #fuse: Fuse
  verdict: Fingerprint = { proven: true, native: true, details: {}, enforces: [] }
  problems: readonly Problem[] = []
  proofs = 0
  /** The machine is half made then. */
  duringCreate: (id: MachineId, signal: AbortSignal) => Promise<void> = async () => {}
  beforeStop: (id: MachineId) => Promise<void> = async () => {}
  beforeDestroy: (id: MachineId) => Promise<void> = async () => {}
  beforeFingerprint: () => Promise<void> = async () => {}
  beforeRecover: () => Promise<void> = async () => {}

  constructor(world: FakeWorld, fuse: Fuse, options: TestDriverOptions = {}) {
    this.#inner = createFakeDriver({ world, ...options })
    this.name = this.#inner.name
    this.isolation = this.#inner.isolation
    this.world = world
    this.#fuse = fuse
    world.faults.afterBuilt = async (id, signal) => {
      const machine = world.machines.get(id)
      if (machine !== undefined) machine.partial = true
      await fuse.step('machine is half made')
      await this.duringCreate(id, signal)
      if (machine !== undefined) machine.partial = false
    }
  }

  async fingerprint(): Promise<Fingerprint> {
    this.proofs++
    await this.beforeFingerprint()
    return this.verdict
  }

  validate(): readonly Problem[] {
    return this.problems
  }

  async create(id: MachineId, spec: MachineSpec, context: CreateContext): Promise<Machine> {
    await this.#fuse.step('create begins')
    const machine = await this.#inner.create(id, spec, context)
    await this.#fuse.step('machine runs')
    return this.#stepping(machine)
  }

  async *recover(): AsyncIterable<Recovered> {
    await this.#fuse.step('recover begins')
    await this.beforeRecover()
    for await (const found of this.#inner.recover()) {
      yield found.kind === 'running' ? { ...found, machine: this.#stepping(found.machine) } : found
    }
  }

  async destroy(id: MachineId): Promise<void> {
    await this.#fuse.step('destroy begins')
    await this.beforeDestroy(id)
    this.world.machines.get(id)?.end({ kind: 'signaled', signal: 9 })
    await this.#fuse.step('machine is killed')
    await this.#inner.destroy(id)
    await this.#fuse.step('machine is removed')
  }

  listDisks(): Promise<readonly DiskId[]> {
    return this.#inner.listDisks()
  }

  async removeDisk(id: DiskId): Promise<void> {
    await this.#fuse.step('removing a disk begins')
    await this.#inner.removeDisk(id)
    await this.#fuse.step('disk is removed')
  }

  listSnapshots(): Promise<readonly SnapshotId[]> {
    return this.#inner.listSnapshots()
  }

  async removeSnapshot(id: SnapshotId): Promise<void> {
    await this.#fuse.step('removing a snapshot begins')
    await this.#inner.removeSnapshot(id)
    await this.#fuse.step('snapshot is removed')
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  #stepping(machine: Machine): Machine {
    const fuse = this.#fuse
    const beforeStop = (): Promise<void> => this.beforeStop(machine.id)
    const readDisk = async (reader: DiskReader, context: CreateContext): ReturnType<DiskReader['readDisk']> => {
      await fuse.step('reading the disk begins')
      return await reader.readDisk(context)
    }
    return {
      id: machine.id,
      limits: machine.limits,
      exited: machine.exited,
      async connectGuest(signal): Promise<Duplex> {
        await fuse.step('connect')
        return await machine.connectGuest(signal)
      },
      async stop(graceMs): Promise<Exit> {
        await fuse.step('stop begins')
        await beforeStop()
        const exit = await machine.stop(graceMs)
        await fuse.step('machine is stopped')
        return exit
      },
      stats: () => machine.stats(),
      ...(isPausable(machine)
        ? {
            async pause() {
              await fuse.step('freezing begins')
              await machine.pause()
              await fuse.step('machine is frozen')
            },
            async resume() {
              await fuse.step('waking begins')
              await machine.resume()
              await fuse.step('machine is awake')
            },
          }
        : {}),
      ...(savesMemory(machine)
        ? {
            async snapshotMemory(id: SnapshotId, context: CreateContext) {
              await fuse.step('saving begins')
              const saved = await machine.snapshotMemory(id, context)
              await fuse.step('machine is saved')
              return saved
            },
          }
        : {}),
      ...(readsDisk(machine) ? { readDisk: (context: CreateContext) => readDisk(machine, context) } : {}),
    }
  }
}
