import { PassThrough, type Duplex } from 'node:stream'
import {
  CoveError,
  type CreateContext,
  type DiskId,
  type Driver,
  type Exit,
  type Fingerprint,
  type GuestIdentity,
  type Isolation,
  type KeepsDisks,
  type Machine,
  type MachineId,
  type MachineSpec,
  type Problem,
  type Recovered,
} from '@cove/domain'
import type { Fuse } from './fuse.ts'

/** What exists on the host, whatever happens to daemons. */
export interface FakeMachine {
  readonly id: MachineId
  readonly spec: MachineSpec
  partial: boolean
  exit: Exit | undefined
  readonly exited: PromiseWithResolvers<Exit>
  token: string | undefined
  epoch: number
  sessions: number
  identity: GuestIdentity | undefined
}

export class FakeWorld {
  readonly machines = new Map<MachineId, FakeMachine>()
  readonly disks = new Set<DiskId>()

  end(id: MachineId, exit: Exit): void {
    const machine = this.machines.get(id)
    if (machine === undefined || machine.exit !== undefined) return
    machine.exit = exit
    machine.exited.resolve(exit)
  }

  /** The only machine that runs. */
  get single(): FakeMachine {
    const [machine, ...others] = [...this.machines.values()].filter(({ exit }) => exit === undefined)
    if (machine === undefined || others.length > 0) throw new Error(`${others.length} other machines`)
    return machine
  }

  get isEmpty(): boolean {
    return this.machines.size === 0 && this.disks.size === 0
  }
}

/** The stream of a fake machine; the fake link finds the machine by it. */
export class FakeStream extends PassThrough {
  readonly machine: FakeMachine
  constructor(machine: FakeMachine) {
    super()
    this.machine = machine
  }
}

export interface FakeDriverOptions {
  readonly name?: string
  readonly isolation?: Isolation
}

/** A driver over a fake world, as one daemon holds it. Public fields are the faults it can be given. */
export class FakeDriver implements Driver, KeepsDisks {
  readonly name: string
  readonly isolation: Isolation
  readonly world: FakeWorld
  readonly #fuse: Fuse
  verdict: Fingerprint = { proven: true, native: true, details: {}, enforces: [] }
  problems: readonly Problem[] = []
  proofs = 0
  beforeCreate: (id: MachineId, context: CreateContext) => Promise<void> = async () => {}
  beforeDestroy: (id: MachineId) => Promise<void> = async () => {}
  beforeFingerprint: () => Promise<void> = async () => {}
  beforeRecover: () => Promise<void> = async () => {}
  /** The stream to a machine's guest; default: one that only fake links understand. */
  connect: (machine: FakeMachine) => Promise<Duplex> = async (machine) => new FakeStream(machine)

  constructor(world: FakeWorld, fuse: Fuse, options: FakeDriverOptions = {}) {
    this.world = world
    this.#fuse = fuse
    this.name = options.name ?? 'fake'
    this.isolation = options.isolation ?? 'namespace'
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
    const machine: FakeMachine = {
      id,
      spec,
      partial: true,
      exit: undefined,
      exited: Promise.withResolvers<Exit>(),
      token: undefined,
      epoch: 0,
      sessions: 0,
      identity: undefined,
    }
    try {
      if (spec.disk !== undefined) {
        for (const other of this.world.machines.values()) {
          if (other.spec.disk === spec.disk) throw new CoveError('wrong-state', 'the disk is in use')
        }
        this.world.disks.add(spec.disk)
      }
      await this.#fuse.step('disk is made')
      this.world.machines.set(id, machine)
      await this.#fuse.step('machine is half made')
      context.progress('starting')
      await this.beforeCreate(id, context)
      context.signal.throwIfAborted()
    } catch (error) {
      this.world.machines.delete(id)
      throw error
    }
    machine.partial = false
    await this.#fuse.step('machine runs')
    return this.#handle(machine)
  }

  async *recover(): AsyncIterable<Recovered> {
    await this.#fuse.step('recover begins')
    await this.beforeRecover()
    for (const machine of this.world.machines.values()) {
      if (machine.partial) yield { kind: 'partial', id: machine.id }
      else if (machine.exit !== undefined) yield { kind: 'exited', id: machine.id, exit: machine.exit }
      else yield { kind: 'running', machine: this.#handle(machine) }
    }
  }

  async destroy(id: MachineId): Promise<void> {
    await this.#fuse.step('destroy begins')
    await this.beforeDestroy(id)
    this.world.end(id, { kind: 'signaled', signal: 9 })
    await this.#fuse.step('machine is killed')
    this.world.machines.delete(id)
    await this.#fuse.step('machine is removed')
  }

  async listDisks(): Promise<readonly DiskId[]> {
    return [...this.world.disks]
  }

  async removeDisk(id: DiskId): Promise<void> {
    await this.#fuse.step('removing a disk begins')
    for (const machine of this.world.machines.values()) {
      if (machine.spec.disk === id) throw new CoveError('wrong-state', 'a machine uses the disk')
    }
    this.world.disks.delete(id)
    await this.#fuse.step('disk is removed')
  }

  async close(): Promise<void> {}

  #handle(machine: FakeMachine): Machine {
    const { world } = this
    const fuse = this.#fuse
    const connect = (of: FakeMachine): Promise<Duplex> => this.connect(of)
    return {
      id: machine.id,
      limits: [{ name: 'processes', value: 10, enforced: true }],
      exited: machine.exited.promise,
      async connectGuest(): Promise<Duplex> {
        await fuse.step('connect')
        if (machine.exit !== undefined) throw new CoveError('guest-unreachable', 'the machine is gone')
        return await connect(machine)
      },
      async stop(): Promise<Exit> {
        await fuse.step('stop begins')
        world.end(machine.id, { kind: 'signaled', signal: 9 })
        const exit = await machine.exited.promise
        await fuse.step('machine is stopped')
        return exit
      },
      async stats() {
        return { processes: 1 }
      },
    }
  }
}
