import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Where the store keeps what. All of it is below one folder that only its owner may enter. */
export interface Folders {
  readonly base: string
  /** The one truth: what no record in it names is nothing. */
  readonly index: string
  /** One unpacked layer each, by number; a layer's folder has the owner and mode of the image's own root. */
  readonly layers: string
  /** Layers as they were pulled, by digest; `.part` is half of one. */
  readonly blobs: string
  /** Configurations of images, by number. */
  readonly configs: string
  /** Images as one file each, by number. */
  readonly files: string
  /** What is being made; nothing in it outlives the process. */
  readonly work: string
  /** What is being removed. */
  readonly trash: string
  /** The layer of images that have none. */
  readonly empty: string
}

/** Short names: the folders of all layers of an image have to fit into the options of one mount. */
export function foldersIn(base: string): Folders {
  return {
    base,
    index: join(base, 'index.json'),
    layers: join(base, 'l'),
    blobs: join(base, 'blobs'),
    configs: join(base, 'configs'),
    files: join(base, 'files'),
    work: join(base, 'work'),
    trash: join(base, 'trash'),
    empty: join(base, 'empty'),
  }
}

export async function makeFolders(folders: Folders): Promise<void> {
  const { base, layers, blobs, configs, files, work, trash, empty } = folders
  for (const folder of [base, layers, blobs, configs, files, work, trash]) {
    await mkdir(folder, { recursive: true, mode: 0o700 })
  }
  await mkdir(empty, { recursive: true })
  // The root that machines see, whatever this process takes from the modes of what it makes.
  await chmod(empty, 0o755)
}

export const layerFolder = (folders: Folders, number: number): string => join(folders.layers, number.toString(36))
export const configFile = (folders: Folders, number: number): string => join(folders.configs, `${number}.json`)
export const blobFile = (folders: Folders, digest: string): string => join(folders.blobs, digest.replace(':', '-'))
export const diskFile = (folders: Folders, number: number, format: string): string =>
  join(folders.files, `${number}.${format}`)
