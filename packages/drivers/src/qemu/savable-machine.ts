import { rm, writeFile } from 'node:fs/promises'
import {
  CoveError,
  type CreateContext,
  type DiskContent,
  type DiskReader,
  type MemorySnapshotter,
  type SavedMachineMemory,
  type SnapshotId,
} from '@cove/domain'
import { copyFile, type CopiedFile } from '@cove/images'
import type { SnapshotStore } from '../host/snapshot-store.ts'
import type { MachineOf } from '../launched/driver.ts'
import type { LaunchedMachineParts } from '../launched/launched-machine.ts'
import { imageOf } from '../launched/machine-spec.ts'
import { firstProcess } from '../launched/signal-init.ts'
import { markOfState, partsOf, readState, type SavedVmParts, type VmManifest } from '../microvm/saved-vm.ts'
import { Still } from '../microvm/still.ts'
import { macOf, STATE } from './machine-spec.ts'
import { QemuMachine } from './qemu-machine.ts'

const GO_ON_MS = 30_000

export interface SavableParts {
  /** Path of `cove-layers`. */
  readonly layersProgram: string
  store(): Promise<SnapshotStore<VmManifest>>
  /** Reads a disk by a machine that does nothing else; `remove` follows in any case. */
  packDisk(
    image: string,
    context: CreateContext,
  ): Promise<{ readonly tar: AsyncIterable<Uint8Array> } & AsyncDisposable>
}

/** A virtual machine that can be saved while it runs, and whose disk can be read. */
export class SavableQemuMachine extends QemuMachine implements MemorySnapshotter, DiskReader {
  readonly #savable: SavableParts
  readonly #still: Still
  #saving: Promise<unknown> = Promise.resolve()

  constructor(of: MachineOf, host: LaunchedMachineParts, savable: SavableParts) {
    super(of, host)
    this.#savable = savable
    this.#still = new Still({
      stop: () => super.pause(),
      goOn: () => this.#goOn(),
      isStopped: () => this.#isStopped(),
    })
  }

  override pause(): Promise<void> {
    return this.#still.pause()
  }

  override resume(): Promise<void> {
    return this.#still.resume()
  }

  /** One after the other: what is saved of each is large. */
  snapshotMemory(id: SnapshotId, context: CreateContext): Promise<SavedMachineMemory> {
    const saving = this.#saving
      .then(() => this.#save(id, context))
      .catch((error: unknown) => {
        // What it ended in the middle of says less.
        throw this.parts.process.exit === undefined ? error : this.#ended()
      })
    this.#saving = saving.catch(() => undefined)
    return saving
  }

  async readDisk(context: CreateContext): Promise<DiskContent & AsyncDisposable> {
    if (this.parts.process.exit !== undefined) throw this.#ended()
    await using opened = new AsyncDisposableStack()
    opened.use(await this.#still.hold())
    if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
    const { tar } = opened.use(await this.#savable.packDisk(imageOf(this.of.prepared, this.of.note), context))
    const held = opened.move()
    return { kind: 'tar', tar, [Symbol.asyncDispose]: () => held.disposeAsync() }
  }

  /**
   * Has the machine take chance, clock and network address of its own, which it went on without. Fails with the reason
   * when it did not go on at all.
   */
  async becomeAnother(entropy: Uint8Array, signal: AbortSignal): Promise<void> {
    const mac = this.of.note.vm?.network === true ? macOf(this.id) : '-'
    const order = `identity ${mac} ${Date.now()} ${Buffer.from(entropy).toString('hex')}`
    try {
      await this.control.ask(order, AbortSignal.any([signal, AbortSignal.timeout(GO_ON_MS)]))
    } catch (cause) {
      if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
      const said = Buffer.from(await this.parts.process.output('stderr')).toString('latin1')
      const why =
        said
          .replaceAll(/[^\x20-\x7e\n]/g, '')
          .trim()
          .slice(-300) || CoveError.from(cause).message
      throw new CoveError('driver-failed', `the machine does not go on from the snapshot: ${why}`, {}, { cause })
    }
  }

  async #save(id: SnapshotId, { signal, progress }: CreateContext): Promise<SavedMachineMemory> {
    const { vm } = this.of.note
    if (vm === undefined) throw new CoveError('unsupported', 'the machine was made by another version of Cove')
    if (vm.volumes > 0) {
      const message = 'the memory of a machine that uses volumes cannot be saved: its copies would share them unawares'
      throw new CoveError('unsupported', message, {}, { fix: 'Take a `filesystem` snapshot.' })
    }
    if (this.parts.process.exit !== undefined) throw this.#ended()
    const store = await this.#savable.store()
    const manifest = await store.make(id, this.id, async (folder) => {
      const into = partsOf(folder)
      await using still = await this.#still.hold()
      if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
      progress('saving the memory')
      const state = await this.#saveState(into)
      const [ram, disk] = await bothOf(this.#saveMemory(into, store, signal), this.#saveDisk(into, signal))
      if (ram.mark.size !== vm.memoryBytes) throw new CoveError('driver-failed', 'the memory has another size')
      // Heard of here rather than lost: a machine that stands still for ever is worse than no snapshot.
      await still[Symbol.asyncDispose]()
      const bytes = ram.stored + disk.stored + state.size
      return { version: 1, vm, ram: ram.mark, disk: disk.mark, state, bytes } as const
    })
    const { monitor, cpu, system } = vm
    return { bytes: manifest.bytes, details: { qemu: monitor, processor: cpu, system: system.slice(0, 12) } }
  }

  /** Everything but memory and disk: QEMU writes it where only itself and root can read it. */
  async #saveState(into: SavedVmParts): Promise<VmManifest['state']> {
    await this.monitor(async (client, signal) => {
      await client.execute('xen-save-devices-state', { filename: STATE, live: false }, signal)
    })
    const path = `/proc/${await this.#qemuPid()}/root${STATE}`
    const bytes = await readState(path)
    await rm(path, { force: true })
    await writeFile(into.state, bytes, { mode: 0o600 }).catch((error: unknown) => {
      throw CoveError.from(error, 'io-error')
    })
    return markOfState(bytes)
  }

  /** What was started has its memory in a file; what was made of a snapshot has only what it changed for itself. */
  async #saveMemory(into: SavedVmParts, store: SnapshotStore<VmManifest>, signal: AbortSignal): Promise<CopiedFile> {
    const { layersProgram } = this.#savable
    const ground = await store.ground(this.id)
    if (ground !== undefined) {
      const process = await this.#qemuPid()
      return await copyFile(layersProgram, { from: partsOf(ground).ram, into: into.ram, process, signal })
    }
    return await copyFile(layersProgram, { from: await this.memoryFile(), follow: true, into: into.ram, signal })
  }

  async #saveDisk(into: SavedVmParts, signal: AbortSignal): Promise<CopiedFile> {
    const from = imageOf(this.of.prepared, this.of.note)
    return await copyFile(this.#savable.layersProgram, { from, into: into.disk, signal })
  }

  #ended(): CoveError {
    return new CoveError('wrong-state', `machine ${this.id} has ended`)
  }

  async #qemuPid(): Promise<number> {
    const found = await firstProcess(this.parts.process)
    if (found === undefined) throw this.#ended()
    return found.pid
  }

  async #isStopped(): Promise<boolean> {
    return await this.monitor(async (client, signal) => {
      const answer = await client.execute('query-status', {}, signal)
      return !(typeof answer === 'object' && answer !== null && 'running' in answer && answer.running === true)
    })
  }

  /** One that has ended meanwhile needs not go on. */
  async #goOn(): Promise<void> {
    await super.resume().catch((error: unknown) => {
      if (CoveError.from(error).code !== 'wrong-state') throw error
    })
  }
}

/** When one has failed, the other one has ended too: nothing is written into what is removed then. */
async function bothOf<One, Two>(one: Promise<One>, two: Promise<Two>): Promise<readonly [One, Two]> {
  await Promise.allSettled([one, two])
  return await Promise.all([one, two])
}
