import type { ImageId, StoredImage } from '@cove/domain'
import { diskFileBytes, layerBytes } from './collect.ts'
import type { StoreParts } from './parts.ts'

/** The last used first. */
export async function listImages(parts: StoreParts, inUse: ReadonlySet<ImageId>): Promise<readonly StoredImage[]> {
  const { catalog } = parts
  const files = await diskFileBytes(parts)
  const images = catalog.images()
  const users = new Map<number, number>()
  for (const { layers } of images) for (const number of new Set(layers)) users.set(number, (users.get(number) ?? 0) + 1)
  const { names, pins } = catalog.state
  const stored = images.map((record): StoredImage => {
    const { info, number } = record
    const layers = [...new Set(record.layers)].map((layer) => catalog.layer(layer))
    const own = layers.filter((layer) => users.get(layer.number) === 1)
    const sum = (some: typeof layers) => some.reduce((bytes, layer) => bytes + layerBytes(layer), 0)
    const file = files.get(number) ?? 0
    return {
      info,
      names: namesOf(names, info.id).map((name) => name.slice(0, name.lastIndexOf(' '))),
      pins: [...pins].flatMap(([name, id]) => (id === info.id ? [name] : [])),
      inUse: catalog.isImageHeld(record) || inUse.has(info.id),
      bytes: sum(layers) + file,
      ownBytes: sum(own) + file,
      usedAt: catalog.usedAt(record),
    }
  })
  return stored.toSorted((a, b) => b.usedAt - a.usedAt)
}

function namesOf(names: ReadonlyMap<string, { readonly image: ImageId }>, id: ImageId): string[] {
  return [...names].flatMap(([name, { image }]) => (image === id ? [name] : []))
}
