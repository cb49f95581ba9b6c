import { CoveError, type Platform } from '@cove/domain'
import type { Descriptor, ImageConfig, LayerBlob } from './image-source.ts'
import { MAX_CONFIG, parseImageConfig } from './image-config.ts'
import { MAX_MANIFEST, type IndexEntry, type Manifest } from './manifest.ts'
import { formatPlatform, matchPlatform, normalizePlatform } from './platform.ts'

/** An index may lie in an index, as archives have it; deeper ones are a trick. */
const MAX_DEPTH = 3

/** Where documents come from; it verifies digest and size of what it gives. */
export interface DocumentReader {
  manifest(descriptor: Descriptor): Promise<Manifest>
  config(descriptor: Descriptor): Promise<Uint8Array>
}

/** What of an `ImageSource` its documents tell. */
export interface ResolvedImage {
  readonly configDigest: string
  readonly config: Uint8Array
  readonly parsed: ImageConfig
  readonly layers: readonly LayerBlob[]
}

/** From the first document to the image of one platform. */
export async function resolveImage(
  first: Manifest,
  platform: Platform,
  reader: DocumentReader,
  depth = 0,
): Promise<ResolvedImage> {
  if (first.kind === 'image') return readImage(first.config, first.layers, platform, reader)
  if (depth >= MAX_DEPTH) throw new CoveError('image-invalid', 'the index of the image is nested too deep')
  const entry = choose(first.entries, platform)
  if (entry.size > MAX_MANIFEST) throw new CoveError('image-invalid', 'a manifest of the image is too large')
  return resolveImage(await reader.manifest(entry), platform, reader, depth + 1)
}

async function readImage(
  descriptor: Descriptor,
  blobs: readonly Descriptor[],
  platform: Platform,
  reader: DocumentReader,
): Promise<ResolvedImage> {
  if (descriptor.size > MAX_CONFIG) throw new CoveError('image-invalid', 'the configuration of the image is too large')
  const config = await reader.config(descriptor)
  const parsed = parseFor(config, platform)
  if (parsed.diffIds.length !== blobs.length) {
    const counts = `${blobs.length} layers, and the configuration names ${parsed.diffIds.length}`
    throw new CoveError('image-invalid', `the image has ${counts}`)
  }
  const layers = blobs.map((blob, at) => ({ ...blob, diffId: parsed.diffIds[at] ?? '' }))
  return { configDigest: descriptor.digest, config, parsed, layers }
}

/** The configuration, when what it configures can run on the platform. One that names none is believed to. */
export function parseFor(config: Uint8Array, platform: Platform): ImageConfig {
  const parsed = parseImageConfig(config)
  const { os, architecture } = parsed.platform
  if (os === '' && architecture === '') return { ...parsed, platform: normalizePlatform(platform) }
  if (matchPlatform(platform, parsed.platform) === undefined) throw otherPlatform(platform, [parsed.platform])
  return parsed
}

/** Of several for the platform the closest, of equal ones the first. */
function choose(entries: readonly IndexEntry[], platform: Platform): IndexEntry {
  const images = entries.filter(isImage)
  const [only] = images
  // Its configuration tells what it is for.
  if (images.length === 1 && only !== undefined && only.platform === undefined) return only
  let best: { readonly entry: IndexEntry; readonly score: number } | undefined
  for (const entry of images) {
    const score = entry.platform === undefined ? undefined : matchPlatform(platform, entry.platform)
    if (score !== undefined && (best === undefined || score > best.score)) best = { entry, score }
  }
  if (best !== undefined) return best.entry
  if (images.length === 0) throw new CoveError('image-invalid', 'the index of the image is empty')
  throw otherPlatform(
    platform,
    images.flatMap((entry) => entry.platform ?? []),
  )
}

/** Attestations lie in an index as images of an unknown platform. */
function isImage({ platform, annotations }: IndexEntry): boolean {
  return platform?.os !== 'unknown' && annotations['vnd.docker.reference.type'] !== 'attestation-manifest'
}

function otherPlatform(wanted: Platform, offered: readonly Platform[]): CoveError {
  const there = [...new Set(offered.map((platform) => formatPlatform(normalizePlatform(platform))))].slice(0, 30)
  const list = there.length === 0 ? 'platforms that it does not name' : there.join(', ')
  return new CoveError(
    'unsupported',
    `the image is not for ${formatPlatform(normalizePlatform(wanted))}, but for ${list}`,
    { wanted: formatPlatform(wanted), offered: there.join(',') },
    { fix: 'Choose one of these platforms, where the machine can run it, or another image.' },
  )
}
