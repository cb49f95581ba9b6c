import {
  CoveError,
  type DriverReport,
  type Exit,
  type Guest,
  type LimitReport,
  type Limits,
  type MachineStats,
  type NodeClient,
  type NodeCreate,
  type NodeEvent,
  type NodeSandbox,
  type NodeSnapshot,
  type PausedTo,
  type SandboxId,
  type SavedSnapshot,
} from '@cove/domain'
import { stubFacets } from './stub-facets.ts'
import { StubGuest } from './stub-guest.ts'

type Step = (request: NodeCreate, signal: AbortSignal | undefined) => Promise<void>

/** A node in memory. Survives the server, as a real one does; its creates can be held up or made to fail. */
export class StubNode implements NodeClient {
  readonly name = 'stub'
  readonly machines = new Map<SandboxId, NodeSandbox>()
  readonly guests = new Map<SandboxId, StubGuest>()
  readonly calls: string[] = []
  readonly requests: NodeCreate[] = []
  readonly #facets = stubFacets(this.calls)
  readonly images = this.#facets.images
  readonly builds = this.#facets.builds
  readonly volumes = this.#facets.volumes
  readonly pools = this.#facets.pools
  readonly snapshots = this.#facets.snapshots
  onCreate: Step = () => Promise.resolve()
  /** Before it freezes or wakes; before it saves. */
  onPause: (to: PausedTo) => Promise<void> = () => Promise.resolve()
  onResume: () => Promise<void> = () => Promise.resolve()
  onSnapshot: (request: NodeSnapshot) => Promise<void> = () => Promise.resolve()
  onDestroy: (id: SandboxId) => Promise<void> = () => Promise.resolve()
  readonly #listeners = new Set<(event: NodeEvent) => void>()

  async drivers(_signal?: AbortSignal): Promise<readonly DriverReport[]> {
    const fingerprint = { proven: true, native: true, details: { version: '1' }, enforces: ['memoryBytes'] } as const
    return [{ name: 'stub', isolation: 'namespace', savesMemory: true, chosen: true, fingerprint }]
  }

  diagnose(): Promise<readonly DriverReport[]> {
    this.calls.push('diagnose')
    return this.drivers()
  }

  async create(request: NodeCreate, signal?: AbortSignal): Promise<NodeSandbox> {
    const { spec, incarnation } = request
    this.calls.push(`create ${spec.id} ${incarnation}`)
    this.requests.push(request)
    const there = this.machines.get(spec.id)
    if (there?.incarnation === incarnation && there.state === 'running') return there
    await this.onCreate(request, signal)
    signal?.throwIfAborted()
    const made: NodeSandbox = {
      id: spec.id,
      incarnation,
      driver: 'stub',
      isolation: 'namespace',
      limits: [],
      state: 'running',
    }
    this.machines.set(spec.id, made)
    this.guests.set(spec.id, this.guests.get(spec.id) ?? new StubGuest())
    return made
  }

  async stop(id: SandboxId, incarnation: number): Promise<Exit> {
    this.calls.push(`stop ${id} ${incarnation}`)
    const machine = this.#machine(id)
    const exit: Exit = { kind: 'exited', code: 0 }
    this.machines.set(id, { ...machine, state: 'stopped', exit })
    return exit
  }

  async destroy(id: SandboxId): Promise<void> {
    this.calls.push(`destroy ${id}`)
    await this.onDestroy(id)
    this.machines.delete(id)
    this.guests.delete(id)
  }

  async list(): Promise<readonly NodeSandbox[]> {
    return [...this.machines.values()]
  }

  async *watch(signal: AbortSignal): AsyncGenerator<NodeEvent> {
    const queue: NodeEvent[] = []
    let wake = Promise.withResolvers<void>()
    const listener = (event: NodeEvent): void => {
      queue.push(event)
      wake.resolve()
    }
    const stop = (): void => wake.resolve()
    this.#listeners.add(listener)
    signal.addEventListener('abort', stop)
    try {
      while (!signal.aborted) {
        yield* queue.splice(0)
        await wake.promise
        wake = Promise.withResolvers()
      }
    } finally {
      this.#listeners.delete(listener)
      signal.removeEventListener('abort', stop)
    }
  }

  async guest(id: SandboxId, incarnation: number): Promise<Guest> {
    const machine = this.#machine(id)
    if (machine.incarnation !== incarnation) throw new CoveError('stale-incarnation', 'stale')
    return this.stub(id)
  }

  async stats(id: SandboxId): Promise<MachineStats> {
    this.#machine(id)
    return { memoryBytes: 1_000, cpuMs: 10, processes: 2 }
  }

  async pause(id: SandboxId, incarnation: number, to: PausedTo = 'memory'): Promise<void> {
    this.calls.push(`pause ${id} ${incarnation} ${to}`)
    await this.onPause(to)
    this.machines.set(id, { ...this.#machine(id), state: 'paused', pausedTo: to })
  }

  async resume(id: SandboxId, incarnation: number): Promise<void> {
    this.calls.push(`resume ${id} ${incarnation}`)
    await this.onResume()
    this.machines.set(id, { ...this.#machine(id), state: 'running' })
  }

  async resize(id: SandboxId, incarnation: number, limits: Limits): Promise<readonly LimitReport[]> {
    this.calls.push(`resize ${id} ${incarnation}`)
    const reports = Object.entries(limits).map(([name, { value }]) => ({
      name: name as LimitReport['name'],
      value,
      enforced: true,
    }))
    this.machines.set(id, { ...this.#machine(id), limits: reports })
    return reports
  }

  async snapshot(id: SandboxId, incarnation: number, request: NodeSnapshot): Promise<SavedSnapshot> {
    this.calls.push(`snapshot ${id} ${incarnation} ${request.kind}`)
    this.#machine(id)
    await this.onSnapshot(request)
    return await this.#facets.save(request)
  }

  stub(id: string): StubGuest {
    const guest = this.guests.get(id as SandboxId)
    if (guest === undefined) throw new CoveError('sandbox-not-found', `no machine ${id}`)
    return guest
  }

  /** The machine ends by itself. */
  crash(id: string, exit: Exit): void {
    const machine = this.#machine(id as SandboxId)
    this.machines.set(machine.id, { ...machine, state: 'ended', exit })
    for (const tell of this.#listeners) {
      tell({ type: 'ended', id: machine.id, incarnation: machine.incarnation, exit })
    }
  }

  #machine(id: SandboxId): NodeSandbox {
    const machine = this.machines.get(id)
    if (machine === undefined) throw new CoveError('sandbox-not-found', `no machine ${id}`)
    return machine
  }
}
