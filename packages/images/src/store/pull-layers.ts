import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import type { Compression, ImageSource, LayerBlob } from '../registry/image-source.ts'
import { blobFile, layerFolder } from './folders.ts'
import { fetchBlob } from './fetch-blob.ts'
import { stackOf } from './lease.ts'
import { findLayer, newLayer } from './new-layer.ts'
import type { HeldLayer, StoreParts } from './parts.ts'

export interface PullOptions {
  readonly signal: AbortSignal
  /** Bytes of the blob of one layer that are here. */
  readonly progress: (at: number, bytes: number) => void
  /** Layers that are unpacked. */
  readonly done: (count: number) => void
}

/**
 * All layers of an image, the lowest first; those that are not here are pulled at the same time, and unpacked one after
 * another from the lowest on, since a layer may leave to those below it what its folders are. Whoever else wants the
 * same layer shares the work. When one fails everything that was begun has ended before this rejects.
 */
export async function pullLayers(parts: StoreParts, from: ImageSource, options: PullOptions): Promise<HeldLayer[]> {
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  const keys = chainKeys(from.layers)
  const held: HeldLayer[] = []
  using holds = new DisposableStack()
  const fetches = from.layers.map(async (layer, at) => {
    const progress = (bytes: number) => options.progress(at, bytes)
    const here = find(parts, layer, keys[at])
    if (here !== undefined) {
      holds.use(here)
      progress(layer.size)
      return undefined
    }
    holds.use(parts.catalog.holdBlob(layer.digest))
    return await fetchBlob(parts, from, layer, { signal, progress })
  })
  for (const fetch of fetches) fetch.catch((error: unknown) => stop.abort(error))
  try {
    for (const [at, layer] of from.layers.entries()) {
      const compression = await fetches[at]
      held.push(await unpackLayer(parts, { layer, key: keys[at] ?? layer.diffId, compression, below: held, signal }))
      options.done(held.length)
    }
    return held
  } catch (error) {
    stop.abort(error)
    for (const layer of held) layer[Symbol.dispose]()
    throw options.signal.aborted ? CoveError.from(options.signal.reason, 'cancelled') : (stop.signal.reason ?? error)
  } finally {
    await Promise.allSettled(fetches)
  }
}

interface Unpack {
  readonly layer: LayerBlob
  readonly key: string
  /** Of its blob; undefined when the layer was here. */
  readonly compression: Compression | undefined
  readonly below: readonly HeldLayer[]
  readonly signal: AbortSignal
}

async function unpackLayer(parts: StoreParts, unpack: Unpack): Promise<HeldLayer> {
  const { layer, key, compression, signal } = unpack
  const here = find(parts, layer, key)
  if (here !== undefined) return here
  if (compression === undefined) throw new CoveError('internal', 'a layer was removed that was held')
  return await parts.unpacks.joinOrTry(key, { signal, progress: () => {} }, async (shared) => {
    const made = find(parts, layer, key)
    if (made !== undefined) return made
    return await parts.unpacking.run(
      shared,
      async () => await unpackBlob(parts, { ...unpack, signal: shared }, compression),
    )
  })
}

async function unpackBlob(parts: StoreParts, unpack: Unpack, compression: Compression): Promise<HeldLayer> {
  const { layer: blob, key, below, signal } = unpack
  const { folders, layers, step } = parts
  const file = blobFile(folders, blob.digest)
  await step('unpack a layer')
  await using layer = newLayer(parts)
  const { diffId, bytes, entries, archiveBytes, implied } = await layers.unpack({
    compressed: createReadStream(file, { highWaterMark: 1 << 20 }),
    compression,
    into: layer.folder,
    over: stackOf(below.map(({ number }) => number)).map((number) => layerFolder(folders, number)),
    signal,
  })
  if (diffId !== blob.diffId) {
    await rm(file, { force: true })
    const context = { want: blob.diffId, got: diffId }
    throw new CoveError('image-invalid', `the layer ${blob.digest} is not the one that the image is made of`, context)
  }
  const { mediaType, digest, size } = blob
  return await layer.keep({
    key: implied > 0 ? key : diffId,
    diffId,
    bytes,
    entries,
    archiveBytes,
    blob: { mediaType, digest, size, compression },
  })
}

/** One that fits anywhere, or one that was made over exactly these. */
function find(parts: StoreParts, { diffId }: LayerBlob, key: string | undefined): HeldLayer | undefined {
  return findLayer(parts, diffId) ?? (key === undefined ? undefined : findLayer(parts, key))
}

/** Names of layers together with all that they lie on. */
function chainKeys(layers: readonly LayerBlob[]): string[] {
  const hash = createHash('sha256')
  return layers.map(({ diffId }) => {
    const key = `${diffId} over ${hash.copy().digest('hex')}`
    hash.update(`${diffId} `)
    return key
  })
}
