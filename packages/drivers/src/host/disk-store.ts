import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError, parseDiskId, type DiskId, type MachineId } from '@cove/domain'
import { removeTree } from './remove-tree.ts'

const IMAGE = 'disk.img'
const GONE = '.gone-'

/** How a disk is kept: as folders of the host's file system, or as a file system of its own with a fixed size. */
export type DiskForm =
  | { readonly kind: 'absent' }
  | { readonly kind: 'folder'; readonly owner: number }
  | { readonly kind: 'image'; readonly bytes: number }

/** Named writable layers below one folder, and which machine uses which. */
export class DiskStore {
  readonly #folder: string
  readonly #users = new Map<DiskId, MachineId>()
  readonly #known = new Set<DiskId>()
  /** What has been looked up: a disk keeps its form for life. */
  readonly #forms = new Map<DiskId, DiskForm>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Makes the folder and finishes removals that were cut short. */
  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    for (const name of await readdir(this.#folder)) {
      if (name.startsWith(GONE)) await removeTree(join(this.#folder, name))
      else if (!name.startsWith('.')) this.#known.add(parseDiskId(name))
    }
  }

  pathOf(id: DiskId): string {
    return join(this.#folder, id)
  }

  imageOf(id: DiskId): string {
    return join(this.#folder, id, IMAGE)
  }

  async formOf(id: DiskId): Promise<DiskForm> {
    // Most disks that are asked for are new: the file system need not be asked whether it knows them.
    if (!this.#known.has(id)) return { kind: 'absent' }
    const known = this.#forms.get(id)
    if (known !== undefined) return known
    const form = await this.#lookUp(id)
    if (form.kind !== 'absent') this.#forms.set(id, form)
    return form
  }

  async #lookUp(id: DiskId): Promise<DiskForm> {
    const image = await stat(this.imageOf(id)).catch(() => undefined)
    if (image !== undefined) return { kind: 'image', bytes: image.size }
    // The folder above is the daemon's own; what is inside belongs to the range of ids that wrote it.
    const upper = await stat(join(this.pathOf(id), 'ru')).catch(() => undefined)
    if (upper !== undefined) return { kind: 'folder', owner: upper.uid }
    const folder = await stat(this.pathOf(id)).catch(() => undefined)
    return folder === undefined ? { kind: 'absent' } : { kind: 'folder', owner: folder.uid }
  }

  list(): readonly DiskId[] {
    return [...this.#known]
  }

  /** `wrong-state` while another machine has it. */
  use(id: DiskId, machine: MachineId): void {
    const user = this.#users.get(id)
    if (user !== undefined && user !== machine) throw inUse(id, user)
    this.#users.set(id, machine)
  }

  /** Its folder is there now. */
  made(id: DiskId): void {
    this.#known.add(id)
  }

  release(id: DiskId, machine: MachineId): void {
    if (this.#users.get(id) === machine) this.#users.delete(id)
  }

  async remove(id: DiskId): Promise<void> {
    const user = this.#users.get(id)
    if (user !== undefined) throw inUse(id, user)
    this.#known.delete(id)
    this.#forms.delete(id)
    const aside = join(this.#folder, `${GONE}${id}-${randomUUID().slice(0, 8)}`)
    try {
      await rename(this.pathOf(id), aside)
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
      throw CoveError.from(error, 'io-error')
    }
    await removeTree(aside)
  }
}

function inUse(disk: DiskId, machine: MachineId): CoveError {
  return new CoveError('wrong-state', `disk ${disk} is in use by machine ${machine}`, { disk, machine })
}
