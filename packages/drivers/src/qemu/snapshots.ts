import { join } from 'node:path'
import { CoveError, type Limits, type MachineId, type SnapshotId } from '@cove/domain'
import { copyFile } from '@cove/images'
import type { LaunchedRecord } from '../host/launched-records.ts'
import type { VmNote } from '../host/machine-note.ts'
import { SnapshotStore } from '../host/snapshot-store.ts'
import { KeptMemories } from '../microvm/kept-memories.ts'
import { parseVmManifest, partsOf, refuseUnfit, type VmManifest } from '../microvm/saved-vm.ts'
import type { SavedMemory } from './machine-spec.ts'

export interface QemuSnapshotsOptions {
  readonly stateDir: string
  readonly layersProgram: string
  /** All machines that there are. */
  records(): Promise<readonly LaunchedRecord[]>
  /** One that was being saved when the daemon was killed is to go on. */
  goOn(record: LaunchedRecord): Promise<void>
}

/** What a machine that is being made goes on from. */
export interface Ground {
  readonly memory: SavedMemory
  /** Makes its disk. */
  readonly makeImage: (path: string) => Promise<void>
}

/** Machines of QEMU that were saved, and what is made of them. */
export class QemuSnapshots implements AsyncDisposable {
  readonly #options: QemuSnapshotsOptions
  readonly #kept: KeptMemories
  /** Of machines that are being made. */
  readonly #grounds = new Map<MachineId, Ground & Disposable>()
  #store: Promise<SnapshotStore<VmManifest>> | undefined

  constructor(options: QemuSnapshotsOptions) {
    this.#options = options
    this.#kept = new KeptMemories(options.layersProgram)
  }

  store(): Promise<SnapshotStore<VmManifest>> {
    this.#store ??= this.#open().catch((error: unknown) => {
      this.#store = undefined
      throw CoveError.from(error, 'driver-failed')
    })
    return this.#store
  }

  /** Has a machine go on from a snapshot; `unsupported` with the reason when it cannot as what it is to be. */
  async take(id: SnapshotId, machine: MachineId, here: VmNote, limits: Limits, signal: AbortSignal): Promise<Ground> {
    const saved = await (await this.store()).use(id, machine)
    await refuseUnfit(saved, here)
    const { diskBytes } = limits
    const { size } = saved.manifest.disk
    if (diskBytes?.required === true && diskBytes.value < size) {
      const message = `the disk of the snapshot has ${size} bytes and cannot shrink to ${diskBytes.value}`
      throw new CoveError('limit-not-enforceable', message, { field: 'limits.diskBytes' })
    }
    const { ram, disk, state } = partsOf(saved.folder)
    const held = await this.#kept.hold(ram)
    const ground = {
      memory: { ram: held.path, state },
      makeImage: async (path: string) => {
        await copyFile(this.#options.layersProgram, { from: disk, into: path, signal })
      },
      [Symbol.dispose]: () => held[Symbol.dispose](),
    }
    this.#grounds.set(machine, ground)
    return ground
  }

  /** What a machine that is being made goes on from; undefined for one that starts. */
  groundOf(machine: MachineId): Ground | undefined {
    return this.#grounds.get(machine)
  }

  /** It has its memory. */
  made(machine: MachineId): void {
    this.#grounds.get(machine)?.[Symbol.dispose]()
    this.#grounds.delete(machine)
  }

  /** Nothing of the machine is there any more, or ever was. */
  async release(machine: MachineId): Promise<void> {
    this.made(machine)
    await (await this.store()).release(machine)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kept[Symbol.asyncDispose]()
  }

  async #open(): Promise<SnapshotStore<VmManifest>> {
    const records = await this.#options.records()
    const users = records.flatMap(({ note: { machine, snapshot } }) =>
      snapshot === undefined ? [] : [[machine, snapshot] as const],
    )
    const store = new SnapshotStore(join(this.#options.stateDir, 'snapshots'), parseVmManifest)
    const interrupted = new Set(await store.open(new Map(users)))
    for (const record of records) {
      const stands = interrupted.has(record.note.machine) && record.process.state === 'running'
      // One that does not answer is found out by whoever asks it next.
      if (stands) await this.#options.goOn(record).catch(() => undefined)
    }
    return store
  }
}
