import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CoveError,
  parseDiskId,
  parseMachineId,
  parseSnapshotId,
  type DiskId,
  type MachineId,
  type SnapshotId,
} from '@cove/domain'
import { removeTree } from './remove-tree.ts'

const MACHINE = 'machine'
/** Has an empty file for each disk that lies over the snapshot's files. */
const DISKS = 'disks'
const MANIFEST = 'manifest.json'
const NEW = '.new-'
const GONE = '.gone-'
const MAX_MANIFEST_BYTES = 64 * 1024

/** What a machine needs around it to go on, as its driver writes it down. Undefined: another version of Cove wrote it. */
export type ParseManifest<Manifest> = (value: Readonly<Record<string, unknown>>) => Manifest | undefined

export interface Saved<Manifest> {
  readonly manifest: Manifest
  /** With what the driver has put there. */
  readonly folder: string
}

/**
 * Saved machines below one folder, each in a folder of its own. One that machines were made of stays as long as they do,
 * and as long as disks that lie over it, for their files lie in it; removed means then that no further machine is made of
 * it.
 */
export class SnapshotStore<Manifest extends object> {
  readonly #folder: string
  readonly #parse: ParseManifest<Manifest>
  readonly #users = new Map<MachineId, SnapshotId>()
  readonly #disks = new Map<DiskId, SnapshotId>()

  constructor(folder: string, parse: ParseManifest<Manifest>) {
    this.#folder = folder
    this.#parse = parse
  }

  /**
   * Makes the folder, and finishes what was cut short. `users`: which machines that there are were made of which; `disks`:
   * those that there are. Answers which machines were being saved when the daemon was killed: they may stand still.
   */
  async open(users: ReadonlyMap<MachineId, SnapshotId>, disks: readonly DiskId[] = []): Promise<readonly MachineId[]> {
    const interrupted: MachineId[] = []
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    for (const [machine, id] of users) this.#users.set(machine, id)
    for (const name of await readdir(this.#folder)) {
      if (!name.startsWith(NEW)) {
        await this.#learnDisks(name, new Set(disks))
        continue
      }
      const machine = await readFile(join(this.#folder, name, MACHINE), 'utf8').catch(() => '')
      if (machine !== '') interrupted.push(parseMachineId(machine))
      await removeTree(join(this.#folder, name))
    }
    await this.#sweep()
    return interrupted
  }

  async list(): Promise<readonly SnapshotId[]> {
    const names = await readdir(this.#folder)
    return names.filter((name) => !name.startsWith('.')).map(parseSnapshotId)
  }

  /** Fills the folder of a new one of a machine; when that fails nothing of it stays. */
  async make(id: SnapshotId, machine: MachineId, fill: (folder: string) => Promise<Manifest>): Promise<Manifest> {
    const aside = join(this.#folder, `${NEW}${id}`)
    if (await isThere(join(this.#folder, id))) {
      throw new CoveError('already-exists', `snapshot ${id} exists already`, { snapshot: id })
    }
    await mkdir(aside, { mode: 0o700 }).catch((error: unknown) => {
      throw CoveError.from(error, 'io-error')
    })
    try {
      await writeFile(join(aside, MACHINE), machine, { mode: 0o600 })
      const manifest = await fill(aside)
      await writeFile(join(aside, MANIFEST), JSON.stringify(manifest), { mode: 0o600 })
      await rename(aside, join(this.#folder, id))
      return manifest
    } catch (error) {
      await removeTree(aside)
      throw error
    }
  }

  /**
   * Keeps it for a machine, and for its new disk where that lies over files of the snapshot. `snapshot-not-found`;
   * `unsupported` for one of another version of Cove.
   */
  async use(id: SnapshotId, machine: MachineId, disk?: DiskId): Promise<Saved<Manifest>> {
    const folder = join(this.#folder, id)
    const text = await readFile(join(folder, MANIFEST), 'utf8').catch(() => undefined)
    if (text === undefined) {
      throw new CoveError('snapshot-not-found', `there is no snapshot ${id} here`, { snapshot: id })
    }
    const manifest = this.parse(text)
    this.#users.set(machine, id)
    if (disk !== undefined) {
      await mkdir(join(folder, DISKS), { recursive: true, mode: 0o700 })
      await writeFile(join(folder, DISKS, disk), '', { mode: 0o600 })
      this.#disks.set(disk, id)
    }
    return { manifest, folder }
  }

  /** What a disk lies over, kept for the machine that has it now; undefined for one that lies over none. */
  useOfDisk(disk: DiskId, machine: MachineId): SnapshotId | undefined {
    const id = this.#disks.get(disk)
    if (id !== undefined) this.#users.set(machine, id)
    return id
  }

  async releaseDisk(disk: DiskId): Promise<void> {
    const id = this.#disks.get(disk)
    if (id === undefined) return
    this.#disks.delete(disk)
    await rm(join(await this.folderOf(id), DISKS, disk), { force: true })
    if (!this.#isUsed(id)) await removeTree(join(this.#folder, `${GONE}${id}`))
  }

  /** Where one is that is in use, also when it is removed. */
  async folderOf(id: SnapshotId): Promise<string> {
    const folder = join(this.#folder, id)
    return (await isThere(folder)) ? folder : join(this.#folder, `${GONE}${id}`)
  }

  /** What a machine was made of, also when that is removed; undefined for one that was not made of a snapshot. */
  async ground(machine: MachineId): Promise<string | undefined> {
    const id = this.#users.get(machine)
    return id === undefined ? undefined : await this.folderOf(id)
  }

  async release(machine: MachineId): Promise<void> {
    const id = this.#users.get(machine)
    if (id === undefined) return
    this.#users.delete(machine)
    if (!this.#isUsed(id)) await removeTree(join(this.#folder, `${GONE}${id}`))
  }

  async remove(id: SnapshotId): Promise<void> {
    const gone = join(this.#folder, `${GONE}${id}`)
    try {
      await rename(join(this.#folder, id), gone)
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
      throw CoveError.from(error, 'io-error')
    }
    if (!this.#isUsed(id)) await removeTree(gone)
  }

  /** Reads a manifest; `unsupported` for one of another version of Cove. */
  parse(text: string): Manifest {
    try {
      const value: unknown = text.length > MAX_MANIFEST_BYTES ? undefined : JSON.parse(text)
      if (typeof value === 'object' && value !== null) {
        const manifest = this.#parse(value as Record<string, unknown>)
        if (manifest !== undefined) return manifest
      }
    } catch {
      // Told below.
    }
    throw new CoveError(
      'unsupported',
      'the snapshot was made by another version of Cove',
      {},
      { fix: 'Make it anew from a sandbox of this version.' },
    )
  }

  async #sweep(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      if (!name.startsWith(GONE)) continue
      if (!this.#isUsed(parseSnapshotId(name.slice(GONE.length)))) await removeTree(join(this.#folder, name))
    }
  }

  #isUsed(id: SnapshotId): boolean {
    return [...this.#users.values(), ...this.#disks.values()].includes(id)
  }

  async #learnDisks(name: string, disks: ReadonlySet<DiskId>): Promise<void> {
    const id = parseSnapshotId(name.startsWith(GONE) ? name.slice(GONE.length) : name)
    const folder = join(this.#folder, name, DISKS)
    for (const text of await readdir(folder).catch(() => [])) {
      const disk = parseDiskId(text)
      if (disks.has(disk)) this.#disks.set(disk, id)
      else await rm(join(folder, text), { force: true })
    }
  }
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
