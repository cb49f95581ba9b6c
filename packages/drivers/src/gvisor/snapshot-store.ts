import { chmod, chown, lchown, lstat, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError, parseMachineId, parseSnapshotId, type MachineId, type SnapshotId } from '@cove/domain'
import { removeTree } from '../host/remove-tree.ts'

/** What a saved machine needs around it, to go on. */
export interface Manifest {
  readonly version: 1
  /** The runsc that saved it, as it tells itself, and how that caught system calls. */
  readonly runsc: string
  readonly platform: string
  /** Name of the host's template, where the machine was made from that. */
  readonly template: string
  readonly tmpBytes: number
  /** Where its volumes were, in their order. */
  readonly volumes: readonly string[]
  /** Memory and files together, holes not counted. */
  readonly bytes: number
}

/** What a machine says of itself when it has been saved. */
export type Filled = Omit<Manifest, 'version' | 'bytes'> & { readonly layerBytes: number }

export interface SavedMachine {
  readonly manifest: Manifest
  /** Folder with what `runsc` has saved. */
  readonly image: string
  /** The agent that runs in it. */
  readonly program: string
  /** What it had written, as a layer. */
  readonly layer: string
}

const MACHINE = 'machine'
const NEW = '.new-'
const GONE = '.gone-'
const MAX_MANIFEST_BYTES = 64 * 1024
/** Of `st_blocks`, whatever the file system's own blocks are. */
const BLOCK_BYTES = 512

/**
 * Saved machines below one folder. One that machines were made of stays as long as they do, for their files lie in it;
 * removed means then that no further machine is made of it.
 */
export class SnapshotStore {
  readonly #folder: string
  readonly #users = new Map<MachineId, SnapshotId>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /**
   * Makes the folder, and finishes what was cut short. `users`: which machines that there are were made of which. Answers
   * which machines were being saved when the daemon was killed: they may stand still.
   */
  async open(users: ReadonlyMap<MachineId, SnapshotId>): Promise<readonly MachineId[]> {
    const interrupted: MachineId[] = []
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    for (const [machine, id] of users) this.#users.set(machine, id)
    for (const name of await readdir(this.#folder)) {
      if (!name.startsWith(NEW)) continue
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

  /** Fills a new one of a machine; when that fails nothing of it stays. `base`: who may write its image. */
  async make(
    id: SnapshotId,
    machine: MachineId,
    base: number,
    fill: (saved: Omit<SavedMachine, 'manifest'>) => Promise<Filled>,
  ): Promise<Manifest> {
    const aside = join(this.#folder, `${NEW}${id}`)
    if ((await this.#form(id)) !== undefined) {
      throw new CoveError('already-exists', `snapshot ${id} exists already`, { snapshot: id })
    }
    await mkdir(aside, { mode: 0o700 }).catch((error: unknown) => {
      throw CoveError.from(error, 'io-error')
    })
    try {
      await writeFile(join(aside, MACHINE), machine, { mode: 0o600 })
      const parts = partsOf(aside)
      await mkdir(parts.image, { mode: 0o700 })
      await chown(parts.image, base, base)
      const { layerBytes, ...facts } = await fill(parts)
      // Machines with other ids read it; nobody but the host's root gets as far as the folder around it.
      await chown(parts.image, 0, 0)
      await chmod(parts.image, 0o755)
      let bytes = layerBytes + (await stat(parts.program)).size
      for (const name of await readdir(parts.image)) {
        const path = join(parts.image, name)
        // Not the machine's any more, and never what a link of its leads to.
        await lchown(path, 0, 0)
        bytes += (await lstat(path)).blocks * BLOCK_BYTES
      }
      const manifest: Manifest = { version: 1, ...facts, bytes }
      await writeFile(join(aside, 'manifest.json'), JSON.stringify(manifest), { mode: 0o600 })
      await rename(aside, join(this.#folder, id))
      return manifest
    } catch (error) {
      await removeTree(aside)
      throw error
    }
  }

  /** Keeps it for a machine. `snapshot-not-found`; `unsupported` for one of another version of Cove. */
  async use(id: SnapshotId, machine: MachineId): Promise<SavedMachine> {
    const folder = join(this.#folder, id)
    const text = await readFile(join(folder, 'manifest.json'), 'utf8').catch(() => undefined)
    if (text === undefined) {
      throw new CoveError('snapshot-not-found', `there is no snapshot ${id} here`, { snapshot: id })
    }
    const manifest = parseManifest(text)
    this.#users.set(machine, id)
    return { manifest, ...partsOf(folder) }
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

  async #sweep(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      if (!name.startsWith(GONE)) continue
      if (!this.#isUsed(parseSnapshotId(name.slice(GONE.length)))) await removeTree(join(this.#folder, name))
    }
  }

  #isUsed(id: SnapshotId): boolean {
    return [...this.#users.values()].includes(id)
  }

  async #form(id: SnapshotId): Promise<unknown> {
    return stat(join(this.#folder, id)).catch(() => undefined)
  }
}

function partsOf(folder: string): Omit<SavedMachine, 'manifest'> {
  return { image: join(folder, 'image'), program: join(folder, 'program'), layer: join(folder, 'layer') }
}

export function parseManifest(text: string): Manifest {
  try {
    const value: unknown = text.length > MAX_MANIFEST_BYTES ? undefined : JSON.parse(text)
    if (typeof value === 'object' && value !== null && isManifest(value as Record<string, unknown>)) {
      return value as Manifest
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

function isManifest(value: Record<string, unknown>): boolean {
  const texts = [value['runsc'], value['platform'], value['template']]
  const volumes = value['volumes']
  return (
    value['version'] === 1 &&
    texts.every((text) => typeof text === 'string') &&
    [value['tmpBytes'], value['bytes']].every((number) => Number.isSafeInteger(number)) &&
    Array.isArray(volumes) &&
    volumes.every((path) => typeof path === 'string')
  )
}
