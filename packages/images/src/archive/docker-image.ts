import { CoveError, type Platform } from '@cove/domain'
import { digestOf } from '../reference/digest.ts'
import type { ImageSource, LayerBlob } from '../registry/image-source.ts'
import { MAX_CONFIG } from '../registry/image-config.ts'
import { isObject, toTexts } from '../registry/json.ts'
import { MAX_MANIFEST } from '../registry/manifest.ts'
import { parseFor } from '../registry/resolve-image.ts'
import { chooseImages, nameOf } from './choose-image.ts'
import type { ImageFiles } from './image-files.ts'

type Opened = Omit<ImageSource, typeof Symbol.asyncDispose>

interface SavedImage {
  readonly names: readonly string[]
  readonly config: string
  readonly layers: readonly string[]
}

/** The image of what `docker save` writes; undefined when there is no `manifest.json`. */
export async function openDockerImage(
  files: ImageFiles,
  wanted: string | undefined,
  platform: Platform,
): Promise<Opened | undefined> {
  const bytes = await files.read('manifest.json', MAX_MANIFEST)
  if (bytes === undefined) return undefined
  const [image, ...others] = chooseImages(parseList(bytes), wanted)
  if (image === undefined || others.length > 0) {
    throw new CoveError('invalid-argument', 'the archive has several images of this name', { field: 'name' })
  }
  const config = await files.read(image.config, MAX_CONFIG)
  if (config === undefined) throw missing(image.config)
  const parsed = parseFor(config, platform)
  if (parsed.diffIds.length !== image.layers.length) {
    throw new CoveError('image-invalid', 'the image in the archive has not as many layers as its configuration names')
  }
  const layers = image.layers.map((name, at) => toLayer(files, name, parsed.diffIds[at] ?? ''))
  const places = new Map(layers.map((layer, at) => [layer.digest, image.layers[at] ?? '']))
  const configDigest = digestOf(config)
  return {
    name: nameOf(image.names, configDigest),
    configDigest,
    config,
    parsed,
    layers,
    fetchLayer: (layer, file, options) => files.place(places.get(layer.digest) ?? '', layer, file, options),
  }
}

function toLayer(files: ImageFiles, name: string, diffId: string): LayerBlob {
  const facts = files.facts(name)
  if (facts === undefined) throw missing(name)
  const { digest, size } = facts
  return { mediaType: 'application/vnd.docker.image.rootfs.diff.tar', digest, size, diffId }
}

function parseList(bytes: Buffer): readonly SavedImage[] {
  let list: unknown
  try {
    list = JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw new CoveError('image-invalid', 'manifest.json in the archive is not JSON', {}, { cause: error })
  }
  if (!Array.isArray(list)) throw new CoveError('image-invalid', 'manifest.json in the archive is no list')
  return list.map((entry: unknown) => {
    const config = isObject(entry) ? entry['Config'] : undefined
    if (!isObject(entry) || typeof config !== 'string') {
      throw new CoveError('image-invalid', 'manifest.json in the archive names no configuration')
    }
    return { names: toTexts(entry['RepoTags'], 'RepoTags'), config, layers: toTexts(entry['Layers'], 'Layers') }
  })
}

function missing(name: string): CoveError {
  return new CoveError('image-invalid', `${JSON.stringify(name.slice(0, 200))} is not in the archive`)
}
