import { join } from 'node:path'
import {
  CoveError,
  silentLog,
  type DiskId,
  type Driver,
  type KeepsDisks,
  type KeepsSnapshots,
  type Machine,
  type MachineId,
  type MachineSpec,
  type Problem,
  type Recovered,
  type SnapshotId,
  type TemplateRoot,
} from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import type { HostProcessSpec } from '@cove/runner'
import { setFrozen } from '../host/cgroup-readings.ts'
import type { DiskForm } from '../host/disk-store.ts'
import { launchedRecords } from '../host/launched-records.ts'
import { SnapshotStore } from '../host/snapshot-store.ts'
import { ToolDriver, type LaunchedOptions, type Lower, type MachineOf } from '../launched/driver.ts'
import type { LaunchedMachineParts } from '../launched/launched-machine.ts'
import { etcOf, machineCgroups, type MachineRequest } from '../launched/machine-spec.ts'
import type { Prepared } from '../launched/prepare.ts'
import type { Tool } from '../launched/tool.ts'
import { gvisorMachine } from './gvisor-machine.ts'
import { COMMANDS, runscCommandSpec, runscProcessSpec } from './machine-spec.ts'
import { RunscCommands } from './runsc-command.ts'
import { parseManifest, partsOf, type Manifest, type SavedMachine } from './saved-machine.ts'
import { platformOf, runscTool } from './tool.ts'

export interface GvisorOptions extends LaunchedOptions {
  /** Path of runsc. Default: found in the system's program folders. */
  readonly runsc?: string
  /** Path of the program `cove-layers`. Without it there are no memory snapshots. */
  readonly layersProgram?: string
}

export type GvisorDriver = Driver & KeepsDisks & KeepsSnapshots

/** gVisor by `runsc`, without a daemon: a kernel of its own for every machine, and memory snapshots of it. */
export function createGvisorDriver(options: GvisorOptions): GvisorDriver {
  return new RunscDriver(options, runscTool(options.runsc))
}

class RunscDriver extends ToolDriver implements KeepsSnapshots {
  protected override readonly startsFromSnapshots = true
  readonly #gvisor: GvisorOptions
  readonly #tool: Tool
  readonly #commands: RunscCommands
  /** What machines that are being made go on from. */
  readonly #saved = new Map<MachineId, SavedMachine>()
  #snapshots: Promise<SnapshotStore<Manifest>> | undefined

  constructor(options: GvisorOptions, tool: Tool) {
    super(options, tool)
    this.#gvisor = options
    this.#tool = tool
    this.#commands = new RunscCommands(options.launcher, options.random ?? systemRandom)
  }

  override validate(spec: MachineSpec): readonly Problem[] {
    const problems = super.validate(spec)
    if (spec.from.kind !== 'snapshot' || spec.network.kind === 'none') return problems
    const message = 'a machine of a memory snapshot cannot have the network internet: gVisor saves no connections'
    return [...problems, { field: 'network', message, fix: 'Use network `none`, or start from a template.' }]
  }

  override async *recover(): AsyncIterable<Recovered> {
    await this.#store()
    yield* super.recover()
  }

  async listSnapshots(): Promise<readonly SnapshotId[]> {
    return (await this.#store()).list()
  }

  async removeSnapshot(id: SnapshotId): Promise<void> {
    await (await this.#store()).remove(id)
  }

  protected override async lowerOf(id: MachineId, spec: MachineSpec, disk: DiskForm): Promise<Lower> {
    const store = await this.#store()
    const root = spec.from.kind === 'snapshot' ? spec.from.root : spec.from
    // A disk that has gone on without its memory is one to start from anew, over what it was made over.
    if (disk.kind !== 'absent') {
      const below = spec.disk === undefined ? undefined : store.useOfDisk(spec.disk, id)
      if (below === undefined) return { spec: { ...spec, from: root }, note: {} }
      const { layer } = partsOf(await store.folderOf(below))
      return { spec: { ...spec, from: rootOver(layer, root) }, note: { snapshot: below, started: true } }
    }
    if (spec.from.kind !== 'snapshot') return { spec, note: {} }
    const { prepared } = await this.opened()
    const saved = await store.use(spec.from.id, id, spec.disk)
    const lower = {
      spec: { ...spec, from: rootOver(partsOf(saved.folder).layer, root) },
      note: { snapshot: spec.from.id },
    }
    refuseUnfit(saved, spec, prepared)
    this.#saved.set(id, saved)
    return lower
  }

  protected override async released(id: MachineId): Promise<void> {
    this.#saved.delete(id)
    await (await this.#store()).release(id)
  }

  protected override async diskRemoved(id: DiskId): Promise<void> {
    await (await this.#store()).releaseDisk(id)
  }

  protected override processSpec(request: MachineRequest): HostProcessSpec {
    const saved = this.#saved.get(request.id)
    this.#saved.delete(request.id)
    return runscProcessSpec({
      ...request,
      platform: platformOf(request.prepared.tool.version),
      etc: etcOf(request.spec, request.network?.etc),
      ...(saved === undefined ? {} : { saved: { ...partsOf(saved.folder), tmpBytes: saved.manifest.tmpBytes } }),
    })
  }

  protected override machineOf(of: MachineOf, parts: LaunchedMachineParts): Machine {
    return gvisorMachine(of, this.#overLayer(of, parts), {
      commands: this.#commands,
      layersProgram: this.#gvisor.layersProgram,
      base: async () => {
        const { slot } = of.note
        return slot === undefined ? undefined : (await this.opened()).ranges.baseOf(slot)
      },
      snapshots: () => this.#store(),
    })
  }

  /** What a machine has written includes what the one had written that it goes on from. */
  #overLayer({ note }: MachineOf, parts: LaunchedMachineParts): LaunchedMachineParts {
    const { snapshot } = note
    if (snapshot === undefined) return parts
    const readDisk = async (): ReturnType<LaunchedMachineParts['readDisk']> => {
      const below = partsOf(await (await this.#store()).folderOf(snapshot)).layer
      return Object.assign(await parts.readDisk(), { below })
    }
    return { ...parts, readDisk }
  }

  #store(): Promise<SnapshotStore<Manifest>> {
    this.#snapshots ??= this.#openStore().catch((error: unknown) => {
      this.#snapshots = undefined
      throw CoveError.from(error, 'driver-failed')
    })
    return this.#snapshots
  }

  async #openStore(): Promise<SnapshotStore<Manifest>> {
    const { launcher, log = silentLog, stateDir } = this.#gvisor
    const records = await launchedRecords(launcher, this.name, this.#tool.recordPrefix, log)
    const users = records.flatMap(({ note: { machine, snapshot } }) =>
      snapshot === undefined ? [] : [[machine, snapshot] as const],
    )
    await this.#commands.endForeign()
    const store = new SnapshotStore(join(stateDir, 'snapshots'), parseManifest)
    const { prepared, ranges, disks } = await this.opened()
    const interrupted = new Set(await store.open(new Map(users), disks.list()))
    for (const { note, process } of records) {
      if (!interrupted.has(note.machine) || process.state !== 'running' || note.slot === undefined) continue
      const { freeze } = machineCgroups(prepared, note.machine, { limits: {} }).files
      // Whoever stands still does not answer. What is to be paused is frozen again by the node, which knows.
      if (freeze !== undefined) await setFrozen(freeze, false).catch(() => false)
      const spec = runscCommandSpec(prepared, note.machine, ranges.baseOf(note.slot), COMMANDS.resume)
      // One that was not paused yet says so.
      await this.#commands.runWhole(spec).catch(() => undefined)
    }
    return store
  }
}

/** What the machine had written lies over what it was made from. */
function rootOver(layer: string, root: TemplateRoot): TemplateRoot {
  return root.kind === 'host'
    ? { ...root, layers: [layer, ...(root.layers ?? [])] }
    : { ...root, lower: [layer, ...root.lower] }
}

function refuse(what: string, fix: string): never {
  throw new CoveError('unsupported', `the snapshot cannot go on here: ${what}`, { field: 'from' }, { fix })
}

/** Refuses what runsc would find out late, and say badly. */
function refuseUnfit({ manifest }: SavedMachine, spec: MachineSpec, { tool, template }: Prepared): void {
  const here = { runsc: tool.version, platform: platformOf(tool.version) }
  if (manifest.runsc !== here.runsc || manifest.platform !== here.platform) {
    const saved = `${manifest.runsc} (${manifest.platform})`
    refuse(`it was saved by ${saved}, here is ${here.runsc} (${here.platform})`, `Install ${manifest.runsc} again.`)
  }
  const root = spec.from.kind === 'snapshot' ? spec.from.root : spec.from
  if (root.kind === 'host' && manifest.template !== template.name) {
    refuse("the host's programs have changed since", 'Make it anew from a running sandbox.')
  }
  const volumes = (spec.volumes ?? []).map(({ target }) => target)
  if (JSON.stringify(volumes) !== JSON.stringify(manifest.volumes)) {
    const wanted = manifest.volumes.length === 0 ? 'no volumes' : `volumes at ${manifest.volumes.join(', ')}`
    refuse(`it was saved with ${wanted}`, `Ask for ${wanted}, in this order.`)
  }
}
