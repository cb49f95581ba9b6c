import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { ImageId } from '@cove/domain'
import { DISK_FORMATS } from './disk-formats.ts'
import { blobFile, configFile, diskFile, layerFolder } from './folders.ts'
import type { ImageRecord, LayerRecord } from './records.ts'
import type { StoreParts } from './parts.ts'
import { selectVictims, type Victims } from './select-victims.ts'

/** Longer than any pause after which a broken pull would be gone on with. */
const STALE_BLOB_MS = 24 * 60 * 60_000

/** Removes what nobody needs until the rest fits the budget; answers how many bytes went. */
export async function collect(parts: StoreParts, budget: number, inUse: () => ReadonlySet<ImageId>): Promise<number> {
  const { catalog } = parts
  if (!parts.rubbish.isEmpty || catalog.isBehind) await removeRubbish(parts)
  const files = await diskFileBytes(parts)
  const kept = sum(catalog.layers().map(layerBytes)) + sum(files.values())
  const loose = await removeLooseBlobs(parts, budget - kept)
  // From here to the hiding nothing may come between: what is needed is asked and answered in one moment.
  const needed = inUse()
  const pinned = new Set(catalog.state.pins.values())
  const images = catalog.images()
  const victims = selectVictims(
    images.map((record) => ({
      number: record.number,
      layers: record.layers,
      bytes: files.get(record.number) ?? 0,
      usedAt: catalog.usedAt(record),
      needed: pinned.has(record.info.id) || needed.has(record.info.id) || catalog.isImageHeld(record),
    })),
    catalog.layers().map((record) => ({
      number: record.number,
      bytes: layerBytes(record),
      madeAt: record.madeAt,
      needed: catalog.isLayerHeld(record.number),
    })),
    budget,
  )
  const gone = images.filter(({ number }) => victims.images.includes(number))
  await removeAll(parts, gone, victims)
  return victims.bytes + loose
}

function sum(numbers: Iterable<number>): number {
  return [...numbers].reduce((total, number) => total + number, 0)
}

/** What a layer takes on the disk. */
export function layerBytes({ bytes, blob }: LayerRecord): number {
  return bytes + (blob?.size ?? 0)
}

/**
 * Needs no space and may end anywhere: an image without its configuration, and one of whose layers is gone, is none when
 * the store is opened again, whatever its records say.
 */
export async function removeAll(
  parts: StoreParts,
  images: readonly ImageRecord[],
  { layers }: Pick<Victims, 'layers'>,
): Promise<void> {
  if (images.length === 0 && layers.length === 0) return
  const { catalog, folders, rubbish } = parts
  const records = layers.map((number) => catalog.layer(number))
  catalog.hide(images, layers)
  const files = images.flatMap(({ number }) => [
    configFile(folders, number),
    ...DISK_FORMATS.map((format) => diskFile(folders, number, format)),
  ])
  const digests = records.flatMap(({ blob }) =>
    blob === undefined || isShared(parts, blob.digest) ? [] : [blob.digest],
  )
  rubbish.add({
    files: [...files, ...digests.map((digest) => blobFile(folders, digest))],
    layers: layers.map((number) => layerFolder(folders, number)),
  })
  await removeRubbish(parts)
}

/** Also what was left of an earlier time. */
async function removeRubbish({ catalog, rubbish, step, log }: StoreParts): Promise<void> {
  await rubbish.takeAway()
  try {
    await step('forget what was removed')
    await catalog.update(() => {})
  } catch (error) {
    // The space is free all the same; the records are written with the next change, or read as void.
    log.warn('records of removed images are kept until the next change', { error: String(error) })
  }
  await rubbish.burn()
}

/** Blobs may be wanted by a pull that is under way, or lie under two layers. */
function isShared({ catalog }: StoreParts, digest: string): boolean {
  return catalog.isBlobHeld(digest) || catalog.layers().some(({ blob }) => blob?.digest === digest)
}

export async function diskFileBytes({ folders }: StoreParts): Promise<Map<number, number>> {
  const sizes = new Map<number, number>()
  for (const name of await readdir(folders.files)) {
    const number = Number.parseInt(name, 10)
    const facts = await stat(join(folders.files, name)).catch(() => undefined)
    // Holes are no bytes.
    sizes.set(number, (sizes.get(number) ?? 0) + (facts?.blocks ?? 0) * 512)
  }
  return sizes
}

/** What is left of broken pulls: what nobody went on with for long, and from the oldest on what does not fit. */
async function removeLooseBlobs({ catalog, folders, rubbish, clock }: StoreParts, room: number): Promise<number> {
  const names = await readdir(folders.blobs)
  const facts = await Promise.all(names.map(async (name) => await factsOf(join(folders.blobs, name))))
  // Asked and said in one moment: whoever pulls one from now on waits until it is gone.
  const named = new Set(catalog.layers().map(({ blob }) => nameOf(blob)))
  const loose = facts
    .flatMap((fact) => fact ?? [])
    .filter(({ name }) => !named.has(name) && !catalog.isBlobHeld(name.replace(/\.part$/, '').replace('-', ':')))
    .toSorted((a, b) => a.changedAt - b.changedAt)
  const all = sum(loose.map(({ bytes }) => bytes))
  let gone = 0
  for (const { path, bytes, changedAt } of loose) {
    if (all - gone <= room && clock.now() - changedAt < STALE_BLOB_MS) continue
    rubbish.add({ files: [path], layers: [] })
    gone += bytes
  }
  if (!rubbish.isEmpty) await rubbish.takeAway()
  return gone
}

async function factsOf(path: string) {
  const facts = await stat(path).catch(() => undefined)
  return facts === undefined ? undefined : { path, name: basename(path), bytes: facts.size, changedAt: facts.mtimeMs }
}

const nameOf = (blob: LayerRecord['blob']): string | undefined => blob?.digest.replace(':', '-')
