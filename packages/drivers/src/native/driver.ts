import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CoveError,
  silentLog,
  type CreateContext,
  type DiskId,
  type Driver,
  type Fingerprint,
  type KeepsDisks,
  type Log,
  type Machine,
  type MachineId,
  type MachineSpec,
  type Problem,
  type Random,
  type Recovered,
} from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import type { HostProcess, HostProcessSpec, Launcher } from '@cove/runner'
import { detectHierarchies, type Hierarchies } from '../cgroups/hierarchies.ts'
import { planCgroups, type CgroupPlan } from '../cgroups/plan.ts'
import {
  diskReport,
  enforcedLimits,
  missingCgroupLimits,
  withProblems,
  type MissingLimits,
} from '../cgroups/limit-support.ts'
import { agentOomKills } from '../host/cgroup-readings.ts'
import { checkSpec, hostSize, refuseProblems } from '../host/check-spec.ts'
import { DiskStore } from '../host/disk-store.ts'
import { endTree } from '../host/end-tree.ts'
import { hostMachine } from '../host/host-machine.ts'
import { endFailedStart, launchedRecords, recoverLaunched, type LaunchedRecord } from '../host/launched-records.ts'
import { writeNote, type MachineNote } from '../host/machine-note.ts'
import { proveByRunning } from '../host/prove.ts'
import { removeTree } from '../host/remove-tree.ts'
import { Turns } from '../host/turns.ts'
import { GUEST_PATH } from '../host-template/skeleton.ts'

export interface NativeOptions {
  readonly launcher: Launcher
  /** Path of the guest program. */
  readonly guestProgram: string
  /** Folder for what the driver keeps: at most 79 bytes, made when missing. */
  readonly stateDir: string
  /** Whose machines these are; names the cgroups. */
  readonly installation: string
  readonly random?: Random
  readonly log?: Log
}

/** Supervised processes of the host, with a working folder each. No wall at all: they can do what the daemon can. */
export function createNativeDriver(options: NativeOptions): Driver & KeepsDisks {
  return new NativeDriver(options)
}

interface Parts {
  readonly machines: string
  readonly proof: string
  readonly disks: DiskStore
  readonly hierarchies: Hierarchies
}

const NAME = 'native'
const RECORD_PREFIX = 'native-'
const recordOf = (id: MachineId): string => `${RECORD_PREFIX}${id}`

const SOCKET_FD = 3
const OOM_FD = 4
const FIRST_JOIN_FD = 5
const WORKLOAD_OOM_SCORE_ADJ = 500
const MAX_STATE_DIR_BYTES = 107 - '/machines/'.length - 16 - '/s'.length
const NO_DISK = 'processes of the host write to the disk of the host'

class NativeDriver implements Driver, KeepsDisks {
  readonly name = NAME
  readonly isolation = 'process'
  readonly #options: NativeOptions
  readonly #launcher: Launcher
  readonly #random: Random
  readonly #log: Log
  readonly #host = hostSize()
  /** Machines that exist, with the disk that each uses. */
  readonly #known = new Map<MachineId, DiskId | undefined>()
  readonly #turns = new Turns<MachineId>()
  #opening: Promise<Parts> | undefined
  #missing: MissingLimits = { diskBytes: NO_DISK }
  #proven = false

  constructor(options: NativeOptions) {
    this.#options = options
    this.#launcher = options.launcher
    this.#random = options.random ?? systemRandom
    this.#log = options.log ?? silentLog
  }

  async fingerprint(signal: AbortSignal): Promise<Fingerprint> {
    const opened = await this.#open().catch((error: unknown) => CoveError.from(error))
    if (opened instanceof CoveError) return { proven: false, reason: opened.message, fix: opened.fix }
    const fingerprint = await proveByRunning(this, {
      signal,
      random: this.#random,
      programs: [this.#options.guestProgram],
      cache: opened.proof,
      trustCache: !this.#proven,
      native: true,
      enforces: enforcedLimits(this.#missing),
      details: { wall: 'none: processes of the host, with the rights of the daemon' },
      fix: 'Look at the log of the daemon.',
    })
    this.#proven = fingerprint.proven
    return fingerprint
  }

  validate(spec: MachineSpec): readonly Problem[] {
    const problems = [...checkSpec(spec, this.#host, this.#missing)]
    if (spec.from.kind === 'layers' || (spec.from.kind === 'host' && (spec.from.layers?.length ?? 0) > 0)) {
      problems.push({
        field: 'from',
        message: 'this driver has only the host itself',
        fix: 'Use the template `host`, or a driver with a root of its own.',
      })
    }
    if ((spec.volumes?.length ?? 0) > 0) {
      problems.push({
        field: 'volumes',
        message: 'this driver cannot mount volumes',
        fix: 'Leave the volumes out, or use a driver with a wall, such as bubblewrap.',
      })
    }
    return problems
  }

  /** One after the other for each machine: what is destroyed while it is made must not be there afterwards. */
  create(id: MachineId, spec: MachineSpec, context: CreateContext): Promise<Machine> {
    return this.#turns.take(id, () => this.#create(id, spec, context))
  }

  async #create(id: MachineId, spec: MachineSpec, context: CreateContext): Promise<Machine> {
    const parts = await this.#open()
    refuseProblems(this.validate(spec))
    if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
    if (this.#known.has(id)) throw new CoveError('already-exists', `machine ${id} exists already`, { machine: id })
    if (spec.disk !== undefined) parts.disks.use(spec.disk, id)
    this.#known.set(id, spec.disk)
    let newDisk = false
    try {
      const folder = join(parts.machines, id)
      const home = spec.disk === undefined ? join(folder, 'home') : parts.disks.pathOf(spec.disk)
      newDisk = spec.disk !== undefined && (await parts.disks.formOf(spec.disk)).kind === 'absent'
      const cgroups = planCgroups(parts.hierarchies, id, spec.limits)
      const oomEvents = cgroups.files.workloadOom
      const note: MachineNote = {
        driver: NAME,
        machine: id,
        limits: [...cgroups.reports, ...diskReport(spec, false, NO_DISK)],
        ...(spec.disk === undefined ? {} : { disk: spec.disk }),
      }
      context.progress('starting the machine')
      const request: HostProcessSpec = {
        id: recordOf(id),
        owner: 'durable',
        note: writeNote(note),
        argv: [
          this.#options.guestProgram,
          'agent',
          '--listen-fd',
          `${SOCKET_FD}`,
          '--home',
          home,
          ...(oomEvents === undefined ? [] : ['--oom-event-fd', `${OOM_FD}`]),
          ...cgroups.workloadJoin.flatMap((_, index) => ['--workload-cgroup-fd', `${FIRST_JOIN_FD + index}`]),
          '--workload-oom-score-adj',
          `${WORKLOAD_OOM_SCORE_ADJ}`,
        ],
        env: { PATH: GUEST_PATH, LANG: 'C.UTF-8', HOME: home },
        cwd: home,
        stdio: 'held',
        folders: [
          { path: folder, mode: 0o700 },
          ...(spec.disk === undefined || newDisk ? [{ path: home, mode: 0o700 }] : []),
        ],
        listen: [{ fd: SOCKET_FD, path: this.#socket(parts, id), mode: 0o600 }],
        files: [
          ...(oomEvents === undefined ? [] : [{ fd: OOM_FD, path: oomEvents, write: false }]),
          ...cgroups.workloadJoin.map((path, index) => ({ fd: FIRST_JOIN_FD + index, path, write: true })),
        ],
        cgroups: cgroups.cgroups,
        removeOnDestroy: [folder],
      }
      const process = await this.#launcher.start(request, context.signal)
      if (newDisk && spec.disk !== undefined) parts.disks.made(spec.disk)
      return this.#machine(parts, process, note, cgroups)
    } catch (error) {
      if (await endFailedStart(this.#launcher, recordOf(id), error)) {
        await removeTree(join(parts.machines, id))
        this.#release(parts, id)
        if (newDisk && spec.disk !== undefined) await parts.disks.remove(spec.disk)
      }
      if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
      throw CoveError.from(error, 'driver-failed')
    }
  }

  async *recover(): AsyncIterable<Recovered> {
    const parts = await this.#open()
    const records = await this.#records()
    for (const { note } of records) this.#learn(parts, note)
    yield* recoverLaunched(records, [parts.machines], ({ process, note }) =>
      this.#machine(parts, process, note, planCgroups(parts.hierarchies, note.machine, {})),
    )
  }

  destroy(id: MachineId): Promise<void> {
    return this.#turns.take(id, () => this.#destroy(id))
  }

  async #destroy(id: MachineId): Promise<void> {
    const parts = await this.#open()
    await this.#launcher.destroy(recordOf(id))
    await removeTree(join(parts.machines, id))
    this.#release(parts, id)
  }

  async listDisks(): Promise<readonly DiskId[]> {
    const { disks } = await this.#open()
    return disks.list()
  }

  async removeDisk(id: DiskId): Promise<void> {
    await (await this.#open()).disks.remove(id)
  }

  /** It has no sockets or watchers of its own: the launcher is its caller's. */
  close(): Promise<void> {
    return Promise.resolve()
  }

  #open(): Promise<Parts> {
    this.#opening ??= this.#start().catch((error: unknown) => {
      this.#opening = undefined
      throw CoveError.from(error, 'driver-failed')
    })
    return this.#opening
  }

  async #start(): Promise<Parts> {
    const { stateDir, installation } = this.#options
    if (Buffer.byteLength(stateDir) > MAX_STATE_DIR_BYTES) {
      throw new CoveError(
        'config-invalid',
        `the state directory ${stateDir} has more than ${MAX_STATE_DIR_BYTES} bytes`,
      )
    }
    const machines = join(stateDir, 'machines')
    await mkdir(machines, { recursive: true, mode: 0o700 })
    const disks = new DiskStore(join(stateDir, 'disks'))
    await disks.open()
    const hierarchies = await detectHierarchies(installation)
    const parts: Parts = { machines, proof: join(stateDir, 'proof'), disks, hierarchies }
    for (const { note } of await this.#records()) this.#learn(parts, note)
    this.#missing = { ...missingCgroupLimits(hierarchies), diskBytes: NO_DISK }
    return parts
  }

  #socket(parts: Parts, id: MachineId): string {
    return join(parts.machines, id, 's')
  }

  #machine(parts: Parts, process: HostProcess, note: MachineNote, cgroups: CgroupPlan): Machine {
    return hostMachine({
      id: note.machine,
      limits: withProblems(note.limits, process.cgroupProblems),
      process,
      socket: this.#socket(parts, note.machine),
      files: cgroups.files,
      exitOf: async (exit) => {
        const killed = exit.kind === 'signaled' && exit.signal === 9
        return killed && (await agentOomKills(cgroups.files)) > 0 ? { kind: 'out-of-memory' } : exit
      },
      ask: () => process.signal(15, 'leader'),
      force: () => endTree(process.pid),
    })
  }

  #records(): Promise<readonly LaunchedRecord[]> {
    return launchedRecords(this.#launcher, NAME, RECORD_PREFIX, this.#log)
  }

  #learn(parts: Parts, { machine, disk }: MachineNote): void {
    this.#known.set(machine, disk)
    if (disk !== undefined) parts.disks.use(disk, machine)
  }

  #release(parts: Parts, id: MachineId): void {
    const disk = this.#known.get(id)
    this.#known.delete(id)
    if (disk !== undefined) parts.disks.release(disk, id)
  }
}
