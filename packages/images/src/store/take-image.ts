import { CoveError, parseImageId, type FetchProgress, type ImageId, type ImageInfo } from '@cove/domain'
import type { ImageConfig, ImageSource } from '../registry/image-source.ts'
import { checkConfig } from './check-config.ts'
import { baseOf } from './image-config.ts'
import { keepImage, type NewImage } from './keep-image.ts'
import { pullLayers } from './pull-layers.ts'
import type { HeldLayer, StoreParts } from './parts.ts'
import type { HeldImage } from './keep-image.ts'

export interface TakeOptions {
  /** As it was asked for. */
  readonly source: string
  readonly signal: AbortSignal
  readonly progress: (step: FetchProgress) => void
  /** Under which it is found again. */
  readonly name?: { readonly text: string; readonly stamp?: string }
  /** An image of others may not claim to lie over this host's programs. */
  readonly mayBeOverHost: boolean
}

/** Brings an image into the store: its layers first, each unpacked once, then the image itself. */
export async function takeImage(parts: StoreParts, from: ImageSource, options: TakeOptions): Promise<HeldImage> {
  const id = idOf(from)
  checkConfig(from)
  const base = baseOf(from.config)
  if (base === 'host' && !options.mayBeOverHost) {
    throw new CoveError('image-invalid', `the image ${from.name} says that it lies over the programs of this host`)
  }
  const image = (layers: readonly HeldLayer[]): NewImage => ({
    info: infoOf(parts, id, from.parsed, base, layers, options.source),
    layers: layers.map(({ number }) => number),
    config: from.config,
    ...(options.name === undefined ? {} : { name: options.name }),
  })
  if (parts.catalog.image(id) !== undefined) return await keepImage(parts, image([]))
  const layers = await pullAll(parts, from, options)
  try {
    return await keepImage(parts, image(layers))
  } finally {
    for (const layer of layers) layer[Symbol.dispose]()
  }
}

async function pullAll(parts: StoreParts, from: ImageSource, { signal, progress }: TakeOptions): Promise<HeldLayer[]> {
  const count = from.layers.length
  const totalBytes = from.layers.reduce((sum, { size }) => sum + size, 0)
  const bytes = from.layers.map(() => 0)
  let unpacked = 0
  const tell = () => {
    const here = bytes.reduce((sum, part) => sum + part, 0)
    const doing = here < totalBytes ? 'pulling' : 'unpacking'
    progress({ step: `${doing} layer ${Math.min(unpacked + 1, count)} of ${count}`, bytes: here, totalBytes })
  }
  return await pullLayers(parts, from, {
    signal,
    progress: (at, there) => {
      bytes[at] = there
      tell()
    },
    done: (layers) => {
      unpacked = layers
      tell()
    },
  })
}

function idOf({ configDigest }: ImageSource): ImageId {
  if (configDigest.startsWith('sha256:')) return parseImageId(configDigest)
  throw new CoveError('unsupported', 'the configuration of the image is named by a digest other than sha256')
}

function infoOf(
  parts: StoreParts,
  id: ImageId,
  { platform, defaults }: ImageConfig,
  base: 'scratch' | 'host',
  layers: readonly HeldLayer[],
  source: string,
): ImageInfo {
  const records = layers.map(({ number }) => parts.catalog.layer(number))
  return {
    id,
    source,
    platform,
    base,
    layers: records.map(({ diffId, bytes }) => ({ diffId, bytes })),
    defaults,
    fetchedAt: parts.clock.now(),
  }
}
