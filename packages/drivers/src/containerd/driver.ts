import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CoveError,
  parseMachineId,
  silentLog,
  type CreateContext,
  type DiskId,
  type Driver,
  type Fingerprint,
  type KeepsDisks,
  type Limits,
  type Log,
  type Machine,
  type MachineId,
  type MachineSpec,
  type Problem,
  type Random,
  type Recovered,
} from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { isNotFound, type Task } from '@cove/containerd-engine'
import { enforcedLimits, type MissingLimits } from '../cgroups/limit-support.ts'
import { planCgroups, type CgroupFiles } from '../cgroups/plan.ts'
import { checkSpec, hostSize, refuseProblems } from '../host/check-spec.ts'
import type { MachineNote } from '../host/machine-note.ts'
import { proveByRunning } from '../host/prove.ts'
import { Turns } from '../host/turns.ts'
import { findProgram } from '../launched/find-program.ts'
import { keepLimits, keptLimits } from '../launched/kept-limits.ts'
import { resizeMachine } from '../launched/resize.ts'
import { AGENT_PATH } from '../launched/stage.ts'
import { endLocal, endMachine } from './end-machine.ts'
import { Holdings } from './holdings.ts'
import { liveProcess, type LiveProcess } from '../host/live-process.ts'
import { containerdMachine, type ContainerdMachine } from './machine.ts'
import { containerOf, diskIdOf, diskOf, noteOf, scratchOf } from './machine-record.ts'
import { makeMachine } from './make-machine.ts'
import { NO_DISK_LIMIT, prepare, type Prepared } from './prepare.ts'
import { DEFAULT_ADDRESS, type ContainerdDriverOptions } from './options.ts'
import { HOST_PROBLEM, NO_IMAGE_PROBLEM, NO_RUNTIME, NOT_ROOT } from './refusals.ts'
import { exitOf } from './exit-of.ts'
import { upperOf } from './upper-of.ts'
import { TaskExits, type TaskStatus } from './task-exits.ts'

const SWEEP_MS = 60_000
/** Containers by containerd and runc: own mounts, processes, network; the host's users and kernel, filtered. */
export function createContainerdDriver(options: ContainerdDriverOptions): Driver & KeepsDisks {
  return new ContainerdDriver(options)
}

interface Parts {
  readonly prepared: Prepared
  readonly exits: TaskExits
  readonly holdings: Holdings
}

class ContainerdDriver implements Driver, KeepsDisks {
  readonly name = 'containerd'
  readonly isolation = 'container'
  readonly #options: ContainerdDriverOptions & { readonly address: string }
  readonly #random: Random
  readonly #log: Log
  readonly #host = hostSize()
  readonly #turns = new Turns<string>()
  /** What could not be removed when it failed, because containerd was not there. */
  readonly #debts = new Set<MachineId>()
  /** New disks of those. */
  readonly #newDisks = new Map<MachineId, DiskId>()
  #missing: MissingLimits = { diskBytes: NO_DISK_LIMIT }
  #opening: Promise<Parts> | undefined
  #empty: string | undefined
  #swept = performance.now()
  #paying: Promise<void> | undefined
  #proven = false

  constructor(options: ContainerdDriverOptions) {
    this.#options = { ...options, address: options.address ?? DEFAULT_ADDRESS }
    this.#random = options.random ?? systemRandom
    this.#log = options.log ?? silentLog
  }

  async fingerprint(signal: AbortSignal): Promise<Fingerprint> {
    if (process.getuid?.() !== 0) return NOT_ROOT
    const opened = await this.#open().catch((error: unknown) => CoveError.from(error))
    if (opened instanceof CoveError) return { proven: false, reason: opened.message, fix: opened.fix }
    const { prepared } = opened
    if (prepared.runtime === undefined) return { proven: false, ...NO_RUNTIME }
    const programs = await Promise.all(PROGRAMS.map((name) => findProgram(name, undefined)))
    const fingerprint = await proveByRunning(this, {
      signal,
      random: this.#random,
      programs: [prepared.runtime, prepared.guestProgram, ...programs.filter((path) => path !== undefined)],
      cache: prepared.folders.proof,
      trustCache: !this.#proven,
      native: true,
      // An image with nothing in it: the agent is the only program that there is.
      from: { kind: 'layers', lower: [prepared.folders.empty] },
      argv: [AGENT_PATH, 'version'],
      enforces: enforcedLimits(this.#missing),
      details: {
        containerd: prepared.version,
        runtime: prepared.runtime,
        snapshots: prepared.containerd.snapshots.snapshotter,
        users: "the machine's root is the host's, with few capabilities: containerd maps no ids of snapshots",
        disk: NO_DISK_LIMIT,
      },
      fix: 'See the log of containerd, for example with `journalctl -u containerd`.',
    })
    this.#proven = fingerprint.proven
    return fingerprint
  }

  validate(spec: MachineSpec): readonly Problem[] {
    const problems = checkSpec(spec, this.#host, this.#missing)
    const { from } = spec
    if (from.kind === 'host') return [...problems, HOST_PROBLEM]
    if (from.kind !== 'layers' || from.image !== undefined) return problems
    const nothing = from.lower.length === 1 && from.lower[0] === this.#empty
    return nothing || problems.some(({ field }) => field === 'from') ? problems : [...problems, NO_IMAGE_PROBLEM]
  }

  async create(id: MachineId, spec: MachineSpec, context: CreateContext): Promise<Machine> {
    refuseProblems(this.validate(spec))
    if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
    if (this.#debts.size > 0 || this.#paying !== undefined) await this.#payDebts()
    // What is destroyed while it is made must not be there afterwards.
    return this.#turns.take(id, async () => {
      const parts = await this.#open()
      refuseProblems(this.validate(spec))
      if (parts.prepared.runtime === undefined) {
        throw new CoveError('isolation-unavailable', NO_RUNTIME.reason, {}, { fix: NO_RUNTIME.fix })
      }
      parts.holdings.claim(id, spec.disk)
      return this.#make(parts, id, spec, context)
    })
  }

  async #make(parts: Parts, id: MachineId, spec: MachineSpec, context: CreateContext): Promise<Machine> {
    const { prepared, exits, holdings } = parts
    const knownDisk = spec.disk !== undefined && holdings.hasDisk(spec.disk)
    const cgroups = planCgroups(prepared.hierarchies, id, spec.limits)
    let status: Promise<TaskStatus> = Promise.resolve(undefined)
    let begun = false
    try {
      const { note, process } = await makeMachine(prepared, {
        id,
        spec,
        cgroups,
        installation: this.#options.installation,
        knownDisk,
        context,
        begin: () => {
          begun = true
        },
        watch: () => {
          status = exits.watch(containerOf(id))
        },
      })
      const machine = this.#machine(parts, note, process, cgroups.files, status)
      // Ready is who can be talked to.
      ;(await machine.connectGuest(context.signal)).destroy()
      if (spec.disk !== undefined) holdings.addDisk(spec.disk)
      return machine
    } catch (error) {
      exits.forget(containerOf(id))
      // Needs no containerd, which may be what is missing.
      if (!begun) await endLocal(prepared, id)
      await this.#undo(parts, id, spec.disk !== undefined && !knownDisk ? spec.disk : undefined)
      if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
      throw CoveError.from(error, 'driver-failed')
    }
  }

  async *recover(): AsyncIterable<Recovered> {
    const parts = await this.#open()
    const { prepared, exits } = parts
    const { containerd, folders } = prepared
    const [containers, tasks] = await Promise.all([containerd.containers.list(), containerd.tasks.list()])
    const states = new Map(tasks.map((task) => [task.id, task]))
    const seen = new Set<string>()
    for (const container of containers) {
      const note = noteOf(container)
      if (note === undefined) {
        this.#log.warn('a container of another version is left alone', { container: container.id })
        continue
      }
      seen.add(note.machine)
      yield await this.#recovered(parts, note, states.get(container.id), exits)
    }
    for (const name of await readdir(folders.machines)) {
      const id = seen.has(name) ? undefined : machineIdOf(name)
      if (id !== undefined) yield { kind: 'partial', id }
    }
  }

  async #recovered(parts: Parts, note: MachineNote, task: Task | undefined, exits: TaskExits): Promise<Recovered> {
    const { machine: id } = note
    const { files } = planCgroups(parts.prepared.hierarchies, id, {})
    if (task?.state === 'stopped') return { kind: 'exited', id, exit: await exitOf(task.exitStatus, files) }
    const process = task === undefined || task.state === 'created' ? undefined : await liveProcess(task.pid)
    if (process === undefined) return { kind: 'partial', id }
    const status = exits.watch(containerOf(id))
    await exits.look(containerOf(id))
    const limits = (await keptLimits(join(parts.prepared.folders.machines, id))) ?? note.limits
    return { kind: 'running', machine: this.#machine(parts, { ...note, limits }, process, files, status) }
  }

  async destroy(id: MachineId): Promise<void> {
    const parts = await this.#turns.take(id, async () => {
      const opened = await this.#open()
      await endMachine(opened.prepared, id, this.#debts.has(id))
      opened.exits.forget(containerOf(id))
      opened.holdings.release(id)
      this.#debts.delete(id)
      return opened
    })
    this.#sweepImages(parts)
  }

  /** Images go from the store while this runs; it is not urgent that containerd forgets them. */
  #sweepImages({ prepared }: Parts): void {
    const now = performance.now()
    if (now - this.#swept < SWEEP_MS) return
    this.#swept = now
    prepared.images.sweep().catch((error: unknown) => {
      this.#log.warn('images that nobody needs could not be removed from containerd', { reason: String(error) })
    })
  }

  async listDisks(): Promise<readonly DiskId[]> {
    return (await this.#open()).holdings.disks()
  }

  async removeDisk(id: DiskId): Promise<void> {
    const { prepared, holdings } = await this.#open()
    holdings.refuseInUse(id)
    await this.#turns.take(id, async () => {
      holdings.refuseInUse(id)
      await prepared.containerd.snapshots.remove(diskOf(id)).catch((error: unknown) => {
        if (!isNotFound(error)) throw error
      })
      holdings.dropDisk(id)
    })
  }

  async close(): Promise<void> {
    const parts = await this.#opening?.catch(() => undefined)
    await parts?.exits.close()
    parts?.prepared.containerd.close()
  }

  #machine(
    { prepared, exits }: Parts,
    note: MachineNote,
    process: LiveProcess,
    files: CgroupFiles,
    status: Promise<TaskStatus>,
  ): ContainerdMachine {
    const { machine: id, disk } = note
    const { launcher } = this.#options
    return containerdMachine({
      id,
      limits: note.limits,
      process,
      files,
      exited: status.then((known) => exitOf(known, files)),
      ...(launcher === undefined ? {} : { rename: (hostname: string) => launcher.setHostname(process, hostname) }),
      resize: async (limits, reports) => {
        const plan = (some: Limits) => planCgroups(prepared.hierarchies, id, some)
        const changed = await resizeMachine({ limits, reports, missing: this.#missing, plan })
        await keepLimits(join(prepared.folders.machines, id), changed)
        return changed
      },
      look: () => exits.look(containerOf(id)),
      upper: async () => upperOf(prepared.containerd, disk === undefined ? scratchOf(id) : diskOf(disk)),
    })
  }

  /** Prepares once; a failure is tried again by the next call. */
  #open(): Promise<Parts> {
    this.#opening ??= this.#start().catch((error: unknown) => {
      this.#opening = undefined
      throw CoveError.from(error, 'driver-failed')
    })
    return this.#opening
  }

  async #start(): Promise<Parts> {
    const prepared = await prepare(this.#options, this.#random)
    const { containerd } = prepared
    this.#missing = prepared.missing
    this.#empty = prepared.folders.empty
    const holdings = new Holdings()
    for (const { key, labels } of await containerd.snapshots.list()) {
      const disk = diskIdOf(labels)
      if (disk !== undefined && key === diskOf(disk)) holdings.addDisk(disk)
    }
    for (const container of await containerd.containers.list()) {
      const note = noteOf(container)
      if (note !== undefined) holdings.learn(note.machine, note.disk)
    }
    const exits = new TaskExits(containerd, this.#log, () => this.#payDebts())
    await exits.open()
    return { prepared, exits, holdings }
  }

  /** When containerd is not there it is done as soon as it is; until then the machine's name and disk stay taken. */
  async #undo(parts: Parts, id: MachineId, newDisk: DiskId | undefined): Promise<void> {
    try {
      await endMachine(parts.prepared, id, true)
      if (newDisk !== undefined) {
        await parts.prepared.containerd.snapshots.remove(diskOf(newDisk)).catch((error: unknown) => {
          if (!isNotFound(error)) throw error
        })
      }
      parts.holdings.release(id)
    } catch (error) {
      this.#debts.add(id)
      if (newDisk !== undefined) this.#newDisks.set(id, newDisk)
      this.#log.warn('a machine that failed could not be removed yet', { machine: id, reason: String(error) })
    }
  }

  /** Everybody waits for the same work. */
  #payDebts(): Promise<void> {
    if (this.#debts.size === 0 && this.#paying === undefined) return Promise.resolve()
    this.#paying ??= this.#pay().finally(() => {
      this.#paying = undefined
    })
    return this.#paying
  }

  async #pay(): Promise<void> {
    const parts = await this.#opening
    if (parts === undefined) return
    for (const id of this.#debts) {
      await this.#turns.take(id, async () => {
        const disk = this.#newDisks.get(id)
        // A destroy may have come first.
        if (!this.#debts.delete(id)) return
        this.#newDisks.delete(id)
        await this.#undo(parts, id, disk)
      })
      if (this.#debts.has(id)) return
    }
  }
}

const PROGRAMS = ['containerd', 'containerd-shim-runc-v2']

function machineIdOf(name: string): MachineId | undefined {
  try {
    return parseMachineId(name)
  } catch {
    return undefined
  }
}
