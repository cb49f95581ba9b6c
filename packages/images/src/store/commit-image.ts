import { readFile } from 'node:fs/promises'
import { CoveError, type CommitRequest, type ImageInfo, type LayerContent } from '@cove/domain'
import { parseImageConfig } from '../registry/image-config.ts'
import { hostPlatform } from '../registry/platform.ts'
import { MAX_LAYERS } from './check-config.ts'
import { configFile, layerFolder } from './folders.ts'
import { buildConfig } from './image-config.ts'
import { holdImage, keepImage, type HeldImage } from './keep-image.ts'
import { stackOf } from './lease.ts'
import { keepOwnLayer, newLayer, type NewLayer } from './new-layer.ts'
import type { HeldLayer, StoreParts } from './parts.ts'

/** Makes an image of another one and what was written over it. */
export async function commitImage(parts: StoreParts, request: CommitRequest): Promise<HeldImage> {
  const { content, defaults = {}, comment, signal, progress } = request
  using parent = findParent(parts, request.parent)
  if ((parent?.record.layers.length ?? 0) >= MAX_LAYERS) throw tooDeep()
  using layer = content === undefined ? undefined : await makeLayer(parts, content, parent, request)
  progress({ step: 'recording the image' })
  const built = buildConfig({
    parent: await parentConfig(parts, request.parent, parent),
    ...(layer === undefined ? {} : { layer: parts.catalog.layer(layer.number) }),
    defaults,
    ...(comment === undefined ? {} : { comment }),
  })
  if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
  const layers = [...(parent?.record.layers ?? []), ...(layer === undefined ? [] : [layer.number])]
  const { platform, defaults: after } = parseImageConfig(built.bytes)
  const info: ImageInfo = {
    id: built.id,
    source: parent?.record.info.source ?? request.parent,
    platform,
    base: parent?.record.info.base ?? (request.parent === 'host' ? 'host' : 'scratch'),
    layers: layers.map((number) => {
      const { diffId, bytes } = parts.catalog.layer(number)
      return { diffId, bytes }
    }),
    defaults: after,
    fetchedAt: parts.clock.now(),
  }
  return await keepImage(parts, { info, layers, config: built.bytes })
}

function findParent(parts: StoreParts, parent: CommitRequest['parent']): HeldImage | undefined {
  if (parent === 'scratch' || parent === 'host') return undefined
  const record = parts.catalog.image(parent)
  if (record !== undefined) return holdImage(parts, record)
  throw new CoveError('image-not-found', `there is no image ${parent} on this node`)
}

async function parentConfig(parts: StoreParts, parent: CommitRequest['parent'], held: HeldImage | undefined) {
  if (held !== undefined) return await readFile(configFile(parts.folders, held.record.number))
  const base = parent === 'host' ? 'host' : 'scratch'
  return { platform: hostPlatform(), base } as const
}

async function makeLayer(
  parts: StoreParts,
  content: LayerContent,
  parent: HeldImage | undefined,
  { signal, progress, released }: CommitRequest,
): Promise<HeldLayer | undefined> {
  progress({ step: 'copying what was written' })
  await parts.step('copy a layer')
  await using layer = newLayer(parts)
  const report = await fill(parts, layer, content, parent, signal)
  released?.()
  if (report.entries === 0) return undefined
  progress({ step: 'naming the layer by its content' })
  return await keepOwnLayer(parts, layer, report, signal)
}

async function fill(
  parts: StoreParts,
  layer: NewLayer,
  content: LayerContent,
  parent: HeldImage | undefined,
  signal: AbortSignal,
) {
  const { layers, folders } = parts
  const into = layer.folder
  const over = stackOf(parent?.record.layers ?? []).map((number) => layerFolder(folders, number))
  switch (content.kind) {
    case 'upper':
      return await layers.copy({ content, into, signal })
    case 'tar':
      return await layers.unpack({ compressed: content.tar, compression: 'none', into, over, signal })
    case 'files': {
      const { tar, at, owner } = content
      return await layers.unpackFiles({ tar, into, at, over, signal, ...(owner === undefined ? {} : { owner }) })
    }
  }
}

function tooDeep(): CoveError {
  return new CoveError(
    'limit-reached',
    `an image of more than ${MAX_LAYERS} layers cannot be mounted`,
    {},
    { fix: 'Start again from an image with fewer layers, or export this one and make one layer of it.' },
  )
}
