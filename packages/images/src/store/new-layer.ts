import { createHash } from 'node:crypto'
import { CoveError } from '@cove/domain'
import { layerFolder } from './folders.ts'
import type { BlobRecord, LayerRecord } from './records.ts'
import type { HeldLayer, StoreParts } from './parts.ts'

/** A folder that will be a layer, or nothing. */
export interface NewLayer extends AsyncDisposable {
  readonly number: number
  readonly folder: string
  /** Removes the folder unless it has become a layer. */
  [Symbol.asyncDispose](): Promise<void>
  /** From now on it is one; held for the caller. */
  keep(facts: LayerFacts): Promise<HeldLayer>
}

export interface LayerFacts {
  readonly key: string
  readonly diffId: string
  readonly bytes: number
  readonly entries: number
  readonly archiveBytes: number
  readonly blob?: BlobRecord
}

/** The folder is not there yet; whoever fills it makes it. */
export function newLayer(parts: StoreParts): NewLayer {
  const { catalog, folders, layers, step } = parts
  const number = catalog.number()
  const folder = layerFolder(folders, number)
  let kept = false
  return {
    number,
    folder,
    async keep(facts) {
      const record: LayerRecord = { number, ...facts, unsynced: parts.bootId, madeAt: parts.clock.now() }
      // Held before anybody else can see it.
      let held = holdLayer(parts, number)
      try {
        await step('record a layer')
        await catalog.update((draft) => {
          const there = draft.layers.values().find(({ key, number: other }) => {
            return key === facts.key && !catalog.isLayerHidden(other)
          })
          if (there === undefined) draft.layers.set(number, record)
          else held = replaced(held, holdLayer(parts, there.number))
        })
        kept = held.number === number
        return held
      } catch (error) {
        held[Symbol.dispose]()
        throw error
      }
    },
    async [Symbol.asyncDispose]() {
      if (!kept) await layers.remove(folder)
    },
  }
}

/** Somebody else has made the same meanwhile. */
function replaced(mine: HeldLayer, theirs: HeldLayer): HeldLayer {
  mine[Symbol.dispose]()
  return theirs
}

export function holdLayer(parts: StoreParts, number: number): HeldLayer {
  const hold = parts.catalog.holdLayerNumber(number)
  return {
    number,
    again: () => holdLayer(parts, number),
    [Symbol.dispose]: () => hold[Symbol.dispose](),
  }
}

/** The layer with this key, when it is here. */
export function findLayer(parts: StoreParts, key: string): HeldLayer | undefined {
  const found = parts.catalog.holdLayer(key)
  if (found === undefined) return undefined
  const { number } = found.record
  found.hold[Symbol.dispose]()
  return holdLayer(parts, number)
}

/**
 * Makes a layer of a folder that was filled here: named by the archive that packing it gives, so that the same content
 * is the same layer.
 */
export async function keepOwnLayer(
  parts: StoreParts,
  layer: NewLayer,
  { bytes, entries }: Pick<LayerFacts, 'bytes' | 'entries'>,
  signal: AbortSignal,
): Promise<HeldLayer> {
  const hash = createHash('sha256')
  let archiveBytes = 0
  for await (const chunk of parts.layers.pack(layer.folder, signal)) {
    archiveBytes += chunk.length
    hash.update(chunk)
  }
  if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
  const diffId = `sha256:${hash.digest('hex')}`
  return findLayer(parts, diffId) ?? (await layer.keep({ key: diffId, diffId, bytes, entries, archiveBytes }))
}
