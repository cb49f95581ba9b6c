import { rm } from 'node:fs/promises'
import type { ImageInfo } from '@cove/domain'
import { configFile } from './folders.ts'
import type { Hold } from './holds.ts'
import { writeWhole } from './index-file.ts'
import type { StoreParts } from './parts.ts'
import type { ImageRecord, NameRecord } from './records.ts'

/** An image that is here and stays as long as it is held. */
export interface HeldImage extends Hold {
  readonly record: ImageRecord
  again(): HeldImage
}

export interface NewImage {
  readonly info: ImageInfo
  /** Numbers of its layers, the lowest first; held by the caller. */
  readonly layers: readonly number[]
  readonly config: Uint8Array
  readonly name?: { readonly text: string; readonly stamp?: string }
}

/** Makes an image of layers that are here, or takes the one that there is already, and remembers its name. */
export async function keepImage(parts: StoreParts, image: NewImage): Promise<HeldImage> {
  const { catalog, folders, step } = parts
  const { info, layers, config, name } = image
  const here = catalog.image(info.id)
  if (here !== undefined) {
    const held = holdImage(parts, here)
    try {
      if (name !== undefined) await catalog.update(({ names }) => names.set(name.text, nameOf(image)))
      return held
    } catch (error) {
      held[Symbol.dispose]()
      throw error
    }
  }
  const number = catalog.number()
  const file = configFile(folders, number)
  const record: ImageRecord = { number, info, layers, usedAt: parts.clock.now() }
  let held = holdImage(parts, record)
  try {
    await writeWhole(file, config, step)
    await step('record an image')
    await catalog.update((draft) => {
      const there = draft.images.get(info.id)
      if (there === undefined || catalog.isHidden(there)) draft.images.set(info.id, record)
      else held = replaced(held, holdImage(parts, there))
      if (name !== undefined) draft.names.set(name.text, nameOf(image))
    })
    if (held.record !== record) await rm(file, { force: true })
    return held
  } catch (error) {
    held[Symbol.dispose]()
    await rm(file, { force: true }).catch(() => {})
    throw error
  }
}

/** Somebody else has brought the same meanwhile. */
function replaced(mine: HeldImage, theirs: HeldImage): HeldImage {
  mine[Symbol.dispose]()
  return theirs
}

export function holdImage(parts: StoreParts, record: ImageRecord): HeldImage {
  const hold = parts.catalog.holdImage(record)
  return {
    record,
    again: () => holdImage(parts, record),
    [Symbol.dispose]: () => {
      parts.catalog.used(record.info.id, parts.clock.now())
      hold[Symbol.dispose]()
    },
  }
}

function nameOf({ info, name }: NewImage): NameRecord {
  return name?.stamp === undefined ? { image: info.id } : { image: info.id, stamp: name.stamp }
}
