import {
  CoveError,
  keepsSnapshots,
  type Driver,
  type ImageId,
  type ImageStore,
  type NodeSnapshots,
  type SnapshotId,
  type Store,
} from '@cove/domain'
import { collection, type Collection } from '@cove/store'
import { savedMemoryCodec, type SavedMemory } from './saved-memory.ts'

const PIN = 'snapshot/'

/** Under which a `filesystem` snapshot stays in the image store. */
export const snapshotPin = (id: SnapshotId): string => `${PIN}${id}`

/** What is saved on this node: memories with their drivers, file systems as images. */
export class Snapshots implements NodeSnapshots {
  readonly #store: Store
  readonly #records: Collection<SavedMemory>
  readonly #drivers: readonly Driver[]
  readonly #images: ImageStore
  readonly #memories = new Map<SnapshotId, SavedMemory>()

  private constructor(store: Store, drivers: readonly Driver[], images: ImageStore) {
    this.#store = store
    this.#records = collection(store, 'snapshot/', savedMemoryCodec)
    this.#drivers = drivers
    this.#images = images
  }

  static async open(store: Store, drivers: readonly Driver[], images: ImageStore): Promise<Snapshots> {
    const snapshots = new Snapshots(store, drivers, images)
    for await (const { value } of snapshots.#records.list()) snapshots.#memories.set(value.id, value)
    return snapshots
  }

  /** The memory snapshot of this id. */
  find(id: SnapshotId): SavedMemory {
    const found = this.#memories.get(id)
    if (found !== undefined) return found
    throw new CoveError('snapshot-not-found', `this node has no memory snapshot ${id}`, { snapshot: id })
  }

  /** From now on it is known; without this the next daemon removes it. */
  async add(saved: SavedMemory): Promise<void> {
    await this.#store.txn([], [this.#records.put(saved.id, saved)])
    this.#memories.set(saved.id, saved)
  }

  async list(): Promise<readonly SnapshotId[]> {
    return [...this.#memories.keys()]
  }

  /** Images that machines made of these would stand on. */
  *images(): Iterable<ImageId> {
    for (const { image } of this.#memories.values()) if (image !== undefined) yield image
  }

  async remove(id: SnapshotId): Promise<void> {
    await this.#images.unpin(snapshotPin(id))
    const saved = this.#memories.get(id)
    if (saved === undefined) return
    const driver = this.#drivers.find(({ name }) => name === saved.driver)
    if (driver !== undefined && keepsSnapshots(driver)) await driver.removeSnapshot(id)
    await this.#store.txn([], [this.#records.delete(id)])
    this.#memories.delete(id)
  }

  /** Removes what a driver has and nobody knows: its taking was never acknowledged. `others` are known elsewhere. */
  async removeStrays(driver: Driver, others: () => Iterable<SnapshotId>): Promise<void> {
    if (!keepsSnapshots(driver)) return
    for (const id of await driver.listSnapshots()) {
      if (!this.#memories.has(id) && ![...others()].includes(id)) await driver.removeSnapshot(id)
    }
  }
}
