import type { ImageLease, TemplateRoot } from '@cove/domain'
import { layerFolder, type Folders } from './folders.ts'
import type { HeldImage } from './keep-image.ts'
import type { StoreParts } from './parts.ts'
import type { ImageRecord } from './records.ts'

/** The image stays, and the folders of its root as they are, until the lease is disposed of. */
export function leaseOf({ folders }: StoreParts, held: HeldImage): ImageLease {
  const { info } = held.record
  return {
    info,
    root: rootOf(folders, held.record),
    [Symbol.dispose]: () => held[Symbol.dispose](),
  }
}

export function rootOf(folders: Folders, { info, layers }: ImageRecord): TemplateRoot {
  const stack = stackOf(layers).map((number) => layerFolder(folders, number))
  if (info.base === 'host') return { kind: 'host', layers: stack }
  return { kind: 'layers', lower: stack.length > 0 ? stack : [folders.empty], image: info.id }
}

/**
 * The first on top. A layer that lies in an image twice is there once, where it is highest: no overlay takes a folder
 * twice, and what is below it adds nothing.
 */
export function stackOf(layers: readonly number[]): number[] {
  return [...new Set(layers.toReversed())]
}
