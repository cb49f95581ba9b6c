import { chmod, chown, lchown, lstat, mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { MachineId, SnapshotId } from '@cove/domain'
import type { Saved, SnapshotStore } from '../host/snapshot-store.ts'

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

export interface SavedParts {
  /** Folder with what `runsc` has saved. */
  readonly image: string
  /** The agent that runs in it. */
  readonly program: string
  /** What it had written, as a layer. */
  readonly layer: string
}

/** Of `st_blocks`, whatever the file system's own blocks are. */
const BLOCK_BYTES = 512

export function partsOf(folder: string): SavedParts {
  return { image: join(folder, 'image'), program: join(folder, 'program'), layer: join(folder, 'layer') }
}

export type SavedMachine = Saved<Manifest>

/** Has a machine saved into a new snapshot. `base`: who may write its image. */
export async function saveMachine(
  store: SnapshotStore<Manifest>,
  of: { readonly id: SnapshotId; readonly machine: MachineId; readonly base: number },
  fill: (saved: SavedParts) => Promise<Filled>,
): Promise<Manifest> {
  return await store.make(of.id, of.machine, async (folder) => {
    const parts = partsOf(folder)
    await mkdir(parts.image, { mode: 0o700 })
    await chown(parts.image, of.base, of.base)
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
    return { version: 1, ...facts, bytes }
  })
}

export function parseManifest(value: Readonly<Record<string, unknown>>): Manifest | undefined {
  return isManifest(value) ? value : undefined
}

function isManifest(value: object): value is Manifest {
  const { version, runsc, platform, template, tmpBytes, bytes, volumes } = value as Record<string, unknown>
  return (
    version === 1 &&
    [runsc, platform, template].every((text) => typeof text === 'string') &&
    [tmpBytes, bytes].every((number) => Number.isSafeInteger(number)) &&
    Array.isArray(volumes) &&
    volumes.every((path) => typeof path === 'string')
  )
}
