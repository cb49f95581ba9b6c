import { CoveError, formatSource, type FetchProgress, type ImageDefaults, type ImageInfo } from '@cove/domain'
import type { LayerReport } from '../layers/layer-report.ts'
import { parseImageConfig } from '../registry/image-config.ts'
import { buildConfig } from '../store/image-config.ts'
import { keepImage, type HeldImage } from '../store/keep-image.ts'
import { keepOwnLayer, newLayer } from '../store/new-layer.ts'
import type { StoreParts } from '../store/parts.ts'
import type { FetchRequest } from './fetch-image.ts'

/** A source that is one whole root file system. */
export interface RootSource {
  /** Kept in the image's history. */
  readonly comment: string
  readonly defaults: Partial<ImageDefaults>
  /** Makes the folder `into` a layer. */
  fill(parts: StoreParts, into: string, options: FillOptions): Promise<LayerReport>
}

export interface FillOptions {
  readonly signal: AbortSignal
  readonly progress: (step: FetchProgress) => void
}

/** Makes an image of one layer. */
export async function takeRoot(parts: StoreParts, request: FetchRequest, root: RootSource): Promise<HeldImage> {
  const { source, platform, name, signal, progress } = request
  await parts.step('make a root')
  await using layer = newLayer(parts)
  const report = await fill(parts, root, layer.folder, request)
  progress({ step: 'naming the layer by its content' })
  using held = await keepOwnLayer(parts, layer, report, signal)
  const { diffId, bytes } = parts.catalog.layer(held.number)
  const { comment, defaults } = root
  const built = buildConfig({ parent: { platform, base: 'scratch' }, layer: { diffId }, defaults, comment })
  const info: ImageInfo = {
    id: built.id,
    source: formatSource(source),
    platform,
    base: 'scratch',
    layers: [{ diffId, bytes }],
    defaults: parseImageConfig(built.bytes).defaults,
    fetchedAt: parts.clock.now(),
  }
  return await keepImage(parts, {
    info,
    layers: [held.number],
    config: built.bytes,
    ...(name === undefined ? {} : { name }),
  })
}

async function fill(parts: StoreParts, root: RootSource, into: string, options: FillOptions): Promise<LayerReport> {
  try {
    return await root.fill(parts, into, options)
  } catch (error) {
    throw CoveError.from(error, 'io-error')
  }
}
