import {
  CoveError,
  newDiskId,
  newMachineId,
  newProcessId,
  newSnapshotId,
  keepsSnapshots,
  type CreateContext,
  type DiskId,
  type Driver,
  type Exit,
  type KeepsDisks,
  type KeepsSnapshots,
  type Machine,
  type MachineId,
  type MachineSpec,
  type ProcessEvent,
  type SnapshotId,
} from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { openGuestLink, type GuestLink } from '@cove/guest-link'
import type { DriverRig, RigFactory } from './rig.ts'

/** A clear bound for whatever a machine of a test may take. */
const PATIENCE_MS = 30_000

export const PLAIN: MachineSpec = {
  from: { kind: 'host' },
  limits: {},
  network: { kind: 'none' },
  hostname: 'story',
}

export interface Result {
  readonly exit: Exit
  readonly stdout: string
  readonly stderr: string
}

/** What all chapters stand on: one rig, and the machines and disks that the running story has made. */
export class Stage {
  readonly #factory: RigFactory
  readonly #machines = new Set<MachineId>()
  readonly #disks = new Set<DiskId>()
  readonly #snapshots = new Set<SnapshotId>()
  readonly #links: GuestLink[] = []
  readonly #tokens = new Map<MachineId, Uint8Array>()
  #rig: DriverRig | undefined
  #driver: (Driver & KeepsDisks) | undefined
  #epoch = 0

  constructor(factory: RigFactory) {
    this.#factory = factory
  }

  async open(): Promise<void> {
    this.#rig = await this.#factory()
    this.#driver = this.#rig.driver
  }

  async close(): Promise<void> {
    await this.#rig?.[Symbol.asyncDispose]()
  }

  get rig(): DriverRig {
    if (this.#rig === undefined) throw new Error('the stage is not open')
    return this.#rig
  }

  /** The newest one, after restarts. */
  get driver(): Driver & KeepsDisks {
    if (this.#driver === undefined) throw new Error('the stage is not open')
    return this.#driver
  }

  /** A machine with nothing special. */
  get plain(): MachineSpec {
    return { ...PLAIN, from: this.rig.from ?? PLAIN.from }
  }

  newId(): MachineId {
    const id = newMachineId(systemRandom)
    this.#machines.add(id)
    return id
  }

  newDisk(): DiskId {
    const id = newDiskId(systemRandom)
    this.#disks.add(id)
    return id
  }

  create(spec: Partial<MachineSpec> = {}, id = this.newId(), context: Partial<CreateContext> = {}): Promise<Machine> {
    const full: CreateContext = { signal: AbortSignal.timeout(PATIENCE_MS), progress: () => undefined, ...context }
    return this.driver.create(id, { ...this.plain, ...spec }, full)
  }

  newSnapshot(): SnapshotId {
    const id = newSnapshotId(systemRandom)
    this.#snapshots.add(id)
    return id
  }

  /** The driver, where it keeps snapshots. */
  get snapshots(): Driver & KeepsSnapshots {
    if (!keepsSnapshots(this.driver)) throw new Error('this driver keeps no snapshots')
    return this.driver
  }

  /** The agent of one that goes on from a snapshot expects the token of the one that was saved. */
  shareToken(from: MachineId, to: MachineId): void {
    const token = this.#tokens.get(from)
    if (token !== undefined) this.#tokens.set(to, token)
  }

  /** From now on this machine is known by a token of its own. */
  setToken(machine: MachineId, token: Uint8Array): void {
    this.#tokens.set(machine, token)
  }

  async restart(): Promise<void> {
    await this.closeLinks()
    this.#driver = await this.rig.restart()
  }

  /** A session with the guest: the same token for a machine each time, and a later epoch. */
  async link(machine: Machine): Promise<GuestLink> {
    const token = this.#tokens.get(machine.id) ?? systemRandom.bytes(32)
    this.#tokens.set(machine.id, token)
    const link = await openGuestLink({
      connect: (signal) => machine.connectGuest(signal),
      token,
      nextEpoch: () => ++this.#epoch,
      random: systemRandom,
      ...(machine.singleStream === true ? { singleStream: true } : {}),
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
    this.#links.push(link)
    return link
  }

  /** Runs a command to its end. */
  async run(link: GuestLink, argv: readonly string[], user?: string): Promise<Result> {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    const request = { id: newProcessId(systemRandom), argv, env: {}, ...(user === undefined ? {} : { user }) }
    return collect((await link.start(request, signal)).events)
  }

  shell(link: GuestLink, script: string, user?: string): Promise<Result> {
    return this.run(link, ['/bin/sh', '-c', script], user)
  }

  async closeLinks(): Promise<void> {
    for (const link of this.#links.splice(0)) await link.close()
  }

  /** Removes what the story has made, and says what is left of it. */
  async clear(): Promise<readonly string[]> {
    await this.closeLinks()
    for (const id of this.#machines) await this.driver.destroy(id)
    for (const id of this.#disks) await this.driver.removeDisk(id)
    for (const id of this.#snapshots) await this.snapshots.removeSnapshot(id)
    this.#snapshots.clear()
    this.#machines.clear()
    this.#disks.clear()
    return this.rig.leftovers()
  }

  /** For after each story. */
  async expectCleared(): Promise<void> {
    const left = await this.clear()
    if (left.length > 0) throw new Error(`left behind:\n${left.join('\n')}`)
  }
}

export async function collect(events: AsyncIterable<ProcessEvent>): Promise<Result> {
  let stdout = ''
  let stderr = ''
  let exit: Exit = { kind: 'lost' }
  for await (const event of events) {
    if (event.type === 'output') {
      const text = Buffer.from(event.data).toString('utf8')
      if (event.stream === 'stderr') stderr += text
      else stdout += text
    } else if (event.type === 'exit') {
      exit = event.exit
    }
  }
  return { exit, stdout, stderr }
}

/** The code of the error that a promise fails with, for expectations that read well. */
export function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof CoveError ? error.code : `not a CoveError: ${String(error)}`),
  )
}

/** Fails rather than hangs. */
export async function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`${what} did not happen in time`)), PATIENCE_MS)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
