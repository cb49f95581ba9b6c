import { access, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '@cove/domain'
import { configFile, layerFolder, type Folders } from './folders.ts'
import type { LayerTool } from './layer-tool.ts'
import { draftOf, dropImage, type State } from './records.ts'

interface SweepParts {
  readonly folders: Folders
  readonly layers: LayerTool
  readonly log: Log
  readonly bootId: string
}

/**
 * Makes records and files agree after whatever ended the last process: what records name and is not there whole is
 * forgotten, and what no record names is removed. Answers what is left.
 */
export async function sweep(parts: SweepParts, state: State): Promise<State> {
  const { folders, layers: tool } = parts
  const left = await forgetBroken(parts, state)
  const layers = new Set([...left.layers.keys()].map((number) => number.toString(36)))
  const images = new Set([...left.images.values()].map(({ number }) => String(number)))
  for (const folder of [folders.work, folders.trash]) await removeIn(tool, folder, () => false)
  await removeIn(tool, folders.layers, (name) => layers.has(name))
  await removeIn(tool, folders.configs, (name) => name.endsWith('.json') && images.has(numberOf(name)))
  await removeIn(tool, folders.files, (name) => !name.endsWith('.new') && images.has(numberOf(name)))
  await removeIn(tool, folders.blobs, (name) => !name.endsWith('.new'))
  await rm(`${folders.index}.new`, { force: true })
  return left
}

async function forgetBroken({ folders, bootId, log }: SweepParts, state: State): Promise<State> {
  const draft = draftOf(state)
  for (const layer of state.layers.values()) {
    // Written before a crash of the whole machine, and never known to be on the disk.
    const lost = layer.unsynced !== undefined && layer.unsynced !== bootId
    if (lost || !(await isThere(layerFolder(folders, layer.number)))) draft.layers.delete(layer.number)
  }
  for (const [id, image] of state.images) {
    const whole = image.layers.every((number) => draft.layers.has(number))
    if (whole && (await isThere(configFile(folders, image.number)))) continue
    log.warn('an image is not there any more and will be fetched again', { image: id, source: image.info.source })
    dropImage(draft, id)
  }
  for (const [name, { image }] of draft.names) if (!draft.images.has(image)) draft.names.delete(name)
  for (const [pin, image] of draft.pins) if (!draft.images.has(image)) draft.pins.delete(pin)
  return sizes(draft) === sizes(state) ? state : draft
}

async function removeIn(tool: LayerTool, folder: string, keep: (name: string) => boolean): Promise<void> {
  for (const name of await readdir(folder)) if (!keep(name)) await tool.remove(join(folder, name))
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}

const numberOf = (name: string): string => name.split('.')[0] ?? ''

const sizes = ({ layers, images, names, pins }: State): string => {
  return [layers.size, images.size, names.size, pins.size].join()
}
