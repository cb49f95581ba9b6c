import { join } from 'node:path'
import {
  CoveError,
  silentLog,
  type CreateContext,
  type DiskId,
  type Driver,
  type Fingerprint,
  type Isolation,
  type KeepsDisks,
  type Limits,
  type Log,
  type Machine,
  type MachineId,
  type MachineSpec,
  type Problem,
  type Random,
  type Recovered,
  type TemplateRoot,
} from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import type { Networks, StartedNetwork } from '@cove/network'
import type { HostProcess, HostProcessSpec, Launcher } from '@cove/runner'
import type { CgroupPlan } from '../cgroups/plan.ts'
import { agentOomKills } from '../host/cgroup-readings.ts'
import { checkSpec, hostSize, refuseProblems } from '../host/check-spec.ts'
import type { DiskForm } from '../host/disk-store.ts'
import { endFailedStart, launchedRecords, recoverLaunched, type LaunchedRecord } from '../host/launched-records.ts'
import { writeNote, type MachineNote } from '../host/machine-note.ts'
import { proveByRunning } from '../host/prove.ts'
import { removeTree } from '../host/remove-tree.ts'
import { Turns } from '../host/turns.ts'
import { USER_ID } from '../host-template/skeleton.ts'
import { describeHost } from './describe-host.ts'
import { diskOf } from './disk-of.ts'
import { machineExit } from './exit-of.ts'
import { expectFiltered } from './filtered.ts'
import { diskReport, enforcedLimits, withProblems, type MissingLimits } from '../cgroups/limit-support.ts'
import { keepLimits, keptLimits } from './kept-limits.ts'
import { launchedMachine, type LaunchedMachineParts } from './launched-machine.ts'
import { hostProcessSpec, imageOf, machineCgroups, recordOf, socketOf, type MachineRequest } from './machine-spec.ts'
import { openParts, type Parts } from './open-parts.ts'
import type { LaunchedOptions } from './options.ts'
import { missingLimits, type Prepared } from './prepare.ts'
import { resizeMachine } from './resize.ts'
import { firstProcess, signalInit } from './signal-init.ts'
import type { Tool } from './tool.ts'
import { usrLayersOf } from './usr-layers.ts'
import { KEPT_DISK, placeWritable } from './writable.ts'

export type { LaunchedOptions } from './options.ts'

export type LaunchedDriver = Driver & KeepsDisks

/** Machines that a tool makes under the launcher, all with the same parts: root, disk, cgroups, network, agent. */
export function createLaunchedDriver(options: LaunchedOptions, tool: Tool): LaunchedDriver {
  return new ToolDriver(options, tool)
}

/** One of them that can do more overrides what is protected here. */
export class ToolDriver implements Driver, KeepsDisks {
  readonly name: string
  readonly isolation: Isolation
  readonly #options: LaunchedOptions
  readonly #tool: Tool
  readonly #launcher: Launcher
  readonly #random: Random
  readonly #log: Log
  readonly #host = hostSize()
  readonly #turns = new Turns<MachineId>()
  #opening: Promise<Parts> | undefined
  /** Known once the driver is open; until then `validate` is generous and `create` decides. */
  #missing: MissingLimits = {}
  #keepsSizes = true
  #networks: Networks | undefined
  #proven = false
  #proving: Promise<unknown> = Promise.resolve()

  constructor(options: LaunchedOptions, tool: Tool) {
    this.name = tool.name
    this.isolation = tool.isolation
    this.#options = options
    this.#tool = tool
    this.#launcher = options.launcher
    this.#random = options.random ?? systemRandom
    this.#log = options.log ?? silentLog
  }

  fingerprint(signal: AbortSignal): Promise<Fingerprint> {
    const proving = this.#prove(signal)
    this.#proving = proving.catch(() => undefined)
    return proving
  }

  async #prove(signal: AbortSignal): Promise<Fingerprint> {
    const opened = await this.#open().catch((error: unknown) => CoveError.from(error))
    if (opened instanceof CoveError) return { proven: false, reason: opened.message, fix: opened.fix }
    const { tool, ids, folders } = opened.prepared
    if (tool.program === undefined) return { proven: false, ...tool.missing }
    // Tried before the proof: whoever stops waiting for that must find nothing of this running.
    const network = await opened.networks.find(signal)
    const facts = this.proofFacts()
    const fingerprint = await proveByRunning(this, {
      signal,
      random: this.#random,
      programs: [tool.program, join(folders.stage, 'program'), ...facts.programs],
      cache: folders.proof + facts.name,
      trustCache: !this.#proven,
      native: facts.native,
      enforces: enforcedLimits(this.#missing),
      details: { ...describeHost(opened.prepared, network), ...facts.details },
      fix: tool.runningFix(ids),
      ...(facts.deadlineMs === undefined ? {} : { deadlineMs: facts.deadlineMs }),
      look: async ({ id }) => {
        if (this.#tool.filtered === true) await expectFiltered(await this.#launcher.get(recordOf(opened.prepared, id)))
      },
      ...this.#proofOf(folders.stage),
    })
    this.#proven = fingerprint.proven
    return fingerprint
  }

  #proofOf(stage: string): { readonly from?: TemplateRoot; readonly argv?: readonly string[] } {
    const { proof } = this.#tool
    return proof === undefined ? {} : { from: proof.from(join(stage, 'empty')), argv: proof.argv }
  }

  validate(spec: MachineSpec): readonly Problem[] {
    const keptSize = spec.disk !== undefined && !this.#keepsSizes ? { diskBytes: KEPT_DISK } : {}
    return checkSpec(
      spec,
      this.#host,
      { ...this.#missing, ...keptSize },
      this.#networks?.support ?? { available: true },
      this.startsFromSnapshots,
    )
  }

  /** One after the other for each machine: what is destroyed while it is made must not be there afterwards. */
  create(id: MachineId, spec: MachineSpec, context: CreateContext): Promise<Machine> {
    return this.#turns.take(id, () => this.#create(id, spec, context))
  }

  async #create(id: MachineId, spec: MachineSpec, context: CreateContext): Promise<Machine> {
    const parts = await this.#open()
    const { prepared, disks, blanks, ranges, holdings, networks } = parts
    if (spec.network.kind === 'internet') await networks.find()
    refuseProblems(this.validate(spec))
    if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
    const { program, missing } = prepared.tool
    if (program === undefined) throw new CoveError('isolation-unavailable', missing.reason, {}, { fix: missing.fix })
    holdings.claim(id, spec.disk, prepared.template.name)
    let newDisk = false
    let starting: Promise<StartedNetwork> | undefined
    try {
      if (spec.network.kind === 'internet') {
        starting = networks.start(id, spec.network, context.signal)
        // Waited for below, or undone.
        starting.catch(() => undefined)
      }
      const form = spec.disk === undefined ? ABSENT : await disks.formOf(spec.disk)
      newDisk = spec.disk !== undefined && form.kind === 'absent'
      const slot = prepared.ids === 'range' ? holdings.claimRange(id, form) : undefined
      const base = slot === undefined ? undefined : ranges.baseOf(slot)
      const lower = await this.lowerOf(id, spec, form, context)
      const placeBlank = async (path: string) => (base === undefined ? false : await blanks.place(path, base))
      const writable = await placeWritable(prepared, disks, id, spec, form, placeBlank, base, lower.makeImage)
      const cgroups = machineCgroups(prepared, id, spec)
      const note: MachineNote = {
        driver: this.name,
        machine: id,
        limits: [...cgroups.reports, ...diskReport(spec, writable.kind !== 'folder')],
        template: prepared.template.name,
        ...(lower.spec.from.kind === 'layers' ? { image: true } : {}),
        ...(slot === undefined ? {} : { slot }),
        ...(spec.disk === undefined ? {} : { disk: spec.disk }),
        ...lower.note,
      }
      const network = await starting
      context.progress('starting the machine')
      const request = this.processSpec({
        prepared,
        program,
        id,
        spec: lower.spec,
        writable,
        usrLayers: await usrLayersOf(lower.spec),
        base,
        note: writeNote(note),
        cgroups,
        network,
      })
      const process = await this.#launcher.start(request, context.signal)
      await network?.ready
      if (newDisk && spec.disk !== undefined) disks.made(spec.disk)
      const machine = this.#machine(parts, process, note, cgroups)
      await this.started(machine, context)
      return machine
    } catch (error) {
      await starting?.catch(() => undefined)
      await this.#undo(id, newDisk ? spec.disk : undefined, error)
      if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
      throw CoveError.from(error, 'driver-failed')
    }
  }

  async *recover(): AsyncIterable<Recovered> {
    const parts = await this.#open()
    const { machines, scratch } = parts.prepared.folders
    const records: LaunchedRecord[] = []
    for (const { process, note } of await this.#records()) {
      parts.holdings.learn(note)
      const limits = await keptLimits(join(machines, note.machine))
      records.push({ process, note: limits === undefined ? note : { ...note, limits } })
    }
    yield* recoverLaunched(records, [machines, scratch], ({ process, note }) =>
      this.#machine(parts, process, note, machineCgroups(parts.prepared, note.machine, { limits: {} })),
    )
  }

  destroy(id: MachineId): Promise<void> {
    return this.#turns.take(id, () => this.#destroy(id))
  }

  async #destroy(id: MachineId): Promise<void> {
    const { prepared, holdings, networks } = await this.#open()
    await this.#launcher.destroy(recordOf(prepared, id))
    if (networks.has(id)) await networks.end(id)
    // The launcher removes what its record names; a machine that never got one may have left its folder.
    await Promise.all(
      [prepared.folders.machines, prepared.folders.scratch].map((folder) => removeTree(join(folder, id))),
    )
    await holdings.release(id)
    await this.released(id)
  }

  async listDisks(): Promise<readonly DiskId[]> {
    const { disks } = await this.#open()
    return disks.list()
  }

  async removeDisk(id: DiskId): Promise<void> {
    await (await this.#open()).holdings.removeDisk(id)
    await this.diskRemoved(id)
  }

  /** Takes back what it has made ahead. The launcher is its caller's. */
  async close(): Promise<void> {
    const parts = await this.#opening?.catch(() => undefined)
    await Promise.all([parts?.blanks.close(), parts?.networks.close()])
    await this.#proving
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
    const parts = await openParts(this.#options, this.#tool, () => this.#records())
    this.#networks = parts.networks
    this.#missing = missingLimits(parts.prepared)
    this.#keepsSizes = parts.prepared.images !== undefined
    return parts
  }

  #machine(parts: Parts, process: HostProcess, note: MachineNote, cgroups: CgroupPlan): Machine {
    const { prepared, networks, ranges } = parts
    if (networks.has(note.machine)) {
      // What has no machine any more needs no network; a failure is made good by the destroy that comes.
      void process.exited.then(() => networks.end(note.machine)).catch(() => undefined)
    }
    return this.machineOf(
      { prepared, note, process, cgroups },
      {
        id: note.machine,
        limits: withProblems(note.limits, process.cgroupProblems),
        process,
        socket: socketOf(prepared, note.machine),
        diskImage: imageOf(prepared, note),
        files: cgroups.files,
        resize: async (limits, reports) => {
          const plan = (some: Limits) => machineCgroups(prepared, note.machine, { limits: some })
          const fixed = prepared.tool.keeps ?? []
          const changed = await resizeMachine({ limits, reports, missing: this.#missing, fixed, plan })
          await keepLimits(join(prepared.folders.machines, note.machine), changed)
          return changed
        },
        readDisk: () => diskOf(prepared, note, process, note.slot === undefined ? OWN_BASE : ranges.baseOf(note.slot)),
        exitOf: (exit) => machineExit(exit, () => agentOomKills(cgroups.files)),
        ask: async () => {
          await signalInit(process, 'SIGTERM')
        },
        // The kernel ends everything in a pid namespace with its first process; the tool then tells how it ended.
        force: async () => {
          // A tool that is still starting has begun what is no more in its group.
          if (!(await signalInit(process, 'SIGKILL'))) await process.signal(9, 'all')
        },
        rename: async (hostname) => {
          const init = await firstProcess(process)
          if (init === undefined) throw new CoveError('wrong-state', `machine ${note.machine} has ended`)
          await this.#launcher.setHostname(init, hostname)
        },
      },
    )
  }

  protected readonly startsFromSnapshots: boolean = false

  /** What there is to a proof beside the tool and the agent. */
  protected proofFacts(): ProofFacts {
    return { name: '', native: true, programs: [], details: {} }
  }

  /** Everything that is the same for all machines. */
  protected opened(): Promise<Parts> {
    return this.#open()
  }

  /** What a machine is really made from, looked up when its name and disk are its own, and what its note says of that. */
  protected lowerOf(_id: MachineId, spec: MachineSpec, _disk: DiskForm, _context: CreateContext): Promise<Lower> {
    return Promise.resolve({ spec, note: {} })
  }

  /** Its process runs: the last that is done for a machine, which is undone when this fails. */
  protected started(_machine: Machine, _context: CreateContext): Promise<void> {
    return Promise.resolve()
  }

  /** Nothing of the machine is there any more, or ever was. */
  protected released(_id: MachineId): Promise<void> {
    return Promise.resolve()
  }

  /** The disk is not there any more, or never was. */
  protected diskRemoved(_id: DiskId): Promise<void> {
    return Promise.resolve()
  }

  /** What the launcher is asked to start. */
  protected processSpec(request: MachineRequest): HostProcessSpec {
    return hostProcessSpec(request)
  }

  protected machineOf(_of: MachineOf, parts: LaunchedMachineParts): Machine {
    return launchedMachine(parts)
  }

  #records(): Promise<readonly LaunchedRecord[]> {
    return launchedRecords(this.#launcher, this.name, this.#tool.recordPrefix, this.#log)
  }

  async #undo(id: MachineId, newDisk: DiskId | undefined, error: unknown): Promise<void> {
    const { prepared, holdings, networks } = await this.#open()
    const ended = await endFailedStart(this.#launcher, recordOf(prepared, id), error)
    if (networks.has(id)) await networks.end(id).catch(() => undefined)
    if (!ended) return
    await Promise.all(
      [prepared.folders.machines, prepared.folders.scratch].map((folder) => removeTree(join(folder, id))),
    )
    await holdings.release(id)
    await this.released(id)
    if (newDisk === undefined) return
    await holdings.removeDisk(newDisk)
    await this.diskRemoved(newDisk)
  }
}

export interface ProofFacts {
  /** Tells one kind of proof from another; part of a file's name. */
  readonly name: string
  readonly native: boolean
  readonly programs: readonly string[]
  /** Milliseconds that it may take. */
  readonly deadlineMs?: number
  readonly details: Readonly<Record<string, string>>
}

export interface Lower {
  readonly spec: MachineSpec
  readonly note: Partial<MachineNote>
  /** Makes the image of a new disk at a path, in place of an empty one. */
  readonly makeImage?: ((path: string) => Promise<void>) | undefined
}

/** What is known of one machine beside how it is watched. */
export interface MachineOf {
  readonly prepared: Prepared
  readonly note: MachineNote
  readonly process: HostProcess
  readonly cgroups: CgroupPlan
}

const ABSENT = { kind: 'absent' } as const
/** The only id that there is, less the number that it has inside. */
const OWN_BASE = (process.getuid?.() ?? 0) - USER_ID
