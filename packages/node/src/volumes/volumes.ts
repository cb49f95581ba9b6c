import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CoveError,
  type Limit,
  type NodeVolumes,
  type SandboxId,
  type Store,
  type VolumeId,
  type VolumeInfo,
  type VolumeMount,
  type VolumeUse,
} from '@cove/domain'
import { collection, type Collection } from '@cove/store'
import { VolumeDisk } from './volume-disk.ts'
import { volumeRecordCodec, type VolumeRecord } from './volume-record.ts'

/** Which sandboxes of this node have it, by their records. */
export type UsersOf = (id: VolumeId) => readonly SandboxId[]

/**
 * Directories of this node that outlive sandboxes. A record comes before anything on the disk and goes after it, so a
 * daemon that dies leaves nothing that the next one cannot find.
 */
export class Volumes implements NodeVolumes {
  readonly #folder: string | undefined
  readonly #store: Store
  readonly #records: Collection<VolumeRecord>
  readonly #known = new Map<VolumeId, VolumeRecord>()
  /** Volumes that are about to be mounted by a create: they count as used. */
  readonly #claimed = new Map<VolumeId, number>()
  readonly #turns = new Map<VolumeId, Promise<unknown>>()
  #usersOf: UsersOf = () => []

  private constructor(store: Store, folder: string | undefined) {
    this.#store = store
    this.#folder = folder
    this.#records = collection(store, 'volume/', volumeRecordCodec)
  }

  /** Without a folder the node keeps none. */
  static async open(store: Store, folder: string | undefined): Promise<Volumes> {
    const volumes = new Volumes(store, folder)
    for await (const { value } of volumes.#records.list()) volumes.#known.set(value.id, value)
    if (folder === undefined) return volumes
    await mkdir(folder, { recursive: true, mode: 0o700 })
    for (const record of volumes.#known.values()) {
      if (record.state !== 'ready') await volumes.#erase(record.id)
      else await volumes.#disk(record.id).thaw()
    }
    for (const name of await readdir(folder)) {
      if (!volumes.#known.has(name as VolumeId)) await new VolumeDisk(join(folder, name)).remove()
    }
    return volumes
  }

  /** Once the records of machines are known: what none of them has is unmounted. */
  async follow(usersOf: UsersOf): Promise<void> {
    this.#usersOf = usersOf
    await this.settle()
  }

  async create(id: VolumeId, size: Limit | undefined): Promise<VolumeInfo> {
    this.#refuseKnown(id)
    const problem = size === undefined ? undefined : await VolumeDisk.sizeProblem()
    if (size?.required === true && problem !== undefined) {
      throw new CoveError('limit-not-enforceable', `a volume of a fixed size: ${problem}`, { field: 'size' })
    }
    const enforced = size !== undefined && problem === undefined
    const record: VolumeRecord = { id, state: 'ready', ...(size === undefined ? {} : { size: { ...size, enforced } }) }
    return await this.#make(record, (disk) => disk.make(enforced ? size.value : undefined))
  }

  async list(): Promise<readonly VolumeInfo[]> {
    const ready = [...this.#known.values()].filter(({ state }) => state === 'ready')
    return await Promise.all(ready.map((record) => this.#describe(record)))
  }

  async copy(from: VolumeId, to: VolumeId, signal: AbortSignal): Promise<VolumeInfo> {
    this.#refuseKnown(to)
    const { size } = this.#ready(from)
    signal.throwIfAborted()
    const record: VolumeRecord = { id: to, state: 'ready', ...(size === undefined ? {} : { size }) }
    return await this.#turn(from, () => this.#make(record, (disk) => this.#disk(from).copyTo(disk, signal)))
  }

  async remove(id: VolumeId): Promise<void> {
    await this.#turn(id, async () => {
      const record = this.#known.get(id)
      if (record === undefined) return
      const [user] = this.#usersOf(id)
      if (user !== undefined || this.#claimed.has(id)) {
        throw new CoveError('wrong-state', `volume ${id} is used by sandbox ${user ?? 'that is being created'}`, {
          volume: id,
        })
      }
      await this.#put({ ...record, state: 'removing' })
      await this.#erase(id)
    })
  }

  /**
   * What a machine has to be shown, mounted. It stays so until the result is disposed; by then a record of the sandbox
   * has to name the volumes.
   */
  async mountsFor(uses: readonly VolumeUse[]): Promise<Disposable & { readonly mounts: readonly VolumeMount[] }> {
    const mounts: VolumeMount[] = []
    const claims: VolumeId[] = []
    const release = (): void => {
      for (const id of claims.splice(0)) {
        const left = (this.#claimed.get(id) ?? 1) - 1
        if (left > 0) this.#claimed.set(id, left)
        else this.#claimed.delete(id)
      }
    }
    try {
      for (const { volume, path, readOnly } of uses) {
        await this.#turn(volume, async () => {
          this.#ready(volume)
          this.#claimed.set(volume, (this.#claimed.get(volume) ?? 0) + 1)
          claims.push(volume)
          const disk = this.#disk(volume)
          await disk.mount()
          mounts.push({ source: disk.data, target: path, readOnly })
        })
      }
    } catch (error) {
      release()
      throw error
    }
    return { mounts, [Symbol.dispose]: release }
  }

  /** Unmounts what no sandbox has any more. */
  async settle(ids: Iterable<VolumeId> = this.#known.keys()): Promise<void> {
    for (const id of Array.from(ids)) {
      await this.#turn(id, async () => {
        if (!this.#known.has(id) || this.#claimed.has(id) || this.#usersOf(id).length > 0) return
        await this.#disk(id).unmount()
      })
    }
  }

  async #make(record: VolumeRecord, fill: (disk: VolumeDisk) => Promise<void>): Promise<VolumeInfo> {
    await this.#put({ ...record, state: 'making' })
    try {
      await fill(this.#disk(record.id))
      await this.#put(record)
    } catch (error) {
      await this.#erase(record.id).catch(() => undefined)
      throw CoveError.from(error, 'driver-failed')
    }
    return await this.#describe(record)
  }

  async #describe(record: VolumeRecord): Promise<VolumeInfo> {
    const { id, size } = record
    return {
      id,
      ...(size === undefined ? {} : { size }),
      usedBytes: await this.#disk(id).usedBytes(),
      users: this.#usersOf(id),
    }
  }

  #ready(id: VolumeId): VolumeRecord {
    const record = this.#known.get(id)
    if (record?.state === 'ready') return record
    throw new CoveError('volume-not-found', `this node has no volume ${id}`, { volume: id })
  }

  #refuseKnown(id: VolumeId): void {
    if (this.#known.has(id)) throw new CoveError('already-exists', `there is a volume ${id} already`, { volume: id })
  }

  #disk(id: VolumeId): VolumeDisk {
    if (this.#folder === undefined) throw new CoveError('unsupported', 'this node keeps no volumes')
    return new VolumeDisk(join(this.#folder, id))
  }

  async #put(record: VolumeRecord): Promise<void> {
    await this.#store.txn([], [this.#records.put(record.id, record)])
    this.#known.set(record.id, record)
  }

  async #erase(id: VolumeId): Promise<void> {
    await this.#disk(id).remove()
    await this.#store.txn([], [this.#records.delete(id)])
    this.#known.delete(id)
  }

  /** One thing after the other for each volume. */
  #turn<T>(id: VolumeId, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(id) ?? Promise.resolve()
    const result = before.then(work)
    const settled = result.catch(() => undefined)
    this.#turns.set(id, settled)
    const forget = (): void => {
      if (this.#turns.get(id) === settled) this.#turns.delete(id)
    }
    void settled.finally(forget)
    return result
  }
}
