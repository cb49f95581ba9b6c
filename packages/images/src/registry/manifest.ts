import { CoveError, type Platform } from '@cove/domain'
import { isDigest } from '../reference/digest.ts'
import type { Descriptor } from './image-source.ts'
import { isObject, parseJson, toList, toObject, toOptionalText, type JsonObject } from './json.ts'

/** Bytes of a manifest or index; registries promise no more. */
export const MAX_MANIFEST = 4 * 1024 * 1024
/** More than any file system stacks. */
const MAX_LAYERS = 500
const MAX_ENTRIES = 1_000

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'

export const MANIFEST_TYPES: readonly string[] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST]

const CONFIG_TYPES = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
])

const LAYER_TYPES = new Set([
  'application/vnd.oci.image.layer.v1.tar',
  'application/vnd.oci.image.layer.v1.tar+gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd',
  'application/vnd.docker.image.rootfs.diff.tar',
  'application/vnd.docker.image.rootfs.diff.tar.gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd',
])

/** What servers say that do not know what they serve. */
const VAGUE_TYPES = new Set(['', 'application/json', 'text/plain', 'application/octet-stream'])

export type Manifest =
  | { readonly kind: 'image'; readonly config: Descriptor; readonly layers: readonly Descriptor[] }
  | { readonly kind: 'index'; readonly entries: readonly IndexEntry[] }

export interface IndexEntry extends Descriptor {
  readonly platform?: Platform
  readonly annotations: Readonly<Record<string, string>>
}

/** Reads an OCI or Docker manifest or index. `served` is the media type that came with it, if any. */
export function parseManifest(bytes: Uint8Array, served?: string): Manifest {
  const body = parseJson(bytes, 'the manifest')
  const type = typeOf(body, served)
  // A document that is both would be read as one by some and as the other by others.
  if ('manifests' in body && ('layers' in body || 'config' in body)) {
    throw new CoveError('image-invalid', 'the manifest is an image and an index at once')
  }
  if (body['schemaVersion'] !== 2) throw new CoveError('unsupported', 'the manifest has another schema than 2', {}, OLD)
  return type === OCI_INDEX || type === DOCKER_LIST ? parseIndex(body) : parseImage(body)
}

function typeOf(body: JsonObject, served = ''): string {
  const said = toOptionalText(body['mediaType'], 'mediaType') ?? ''
  const header = served.split(';')[0]?.trim().toLowerCase() ?? ''
  if (said !== '' && !VAGUE_TYPES.has(header) && header !== said) {
    throw new CoveError(
      'image-invalid',
      `the manifest says that it is ${quote(said)}, and was sent as ${quote(header)}`,
    )
  }
  const type = said === '' && !VAGUE_TYPES.has(header) ? header : said
  if (type === '') return 'manifests' in body ? OCI_INDEX : OCI_MANIFEST
  if (MANIFEST_TYPES.includes(type)) return type
  if (/docker\.distribution\.manifest\.v1/.test(type)) {
    throw new CoveError('unsupported', 'the image has a manifest of schema 1, which was given up in 2017', {}, OLD)
  }
  throw new CoveError('unsupported', `the manifest is of a type that is not an image: ${quote(type)}`, {}, NO_IMAGE)
}

function parseImage(body: JsonObject): Manifest {
  const config = toDescriptor(body['config'], 'config')
  if (!CONFIG_TYPES.has(config.mediaType)) {
    const what = toOptionalText(body['artifactType'], 'artifactType') ?? config.mediaType
    throw new CoveError(
      'unsupported',
      `what is stored there is no image of a file system but ${quote(what)}`,
      {},
      NO_IMAGE,
    )
  }
  const layers = toList(body['layers'], 'layers')
  if (layers.length > MAX_LAYERS) throw new CoveError('image-invalid', `the image has more than ${MAX_LAYERS} layers`)
  return { kind: 'image', config, layers: layers.map(toLayer) }
}

function toLayer(value: unknown): Descriptor {
  const layer = toDescriptor(value, 'layer')
  if (LAYER_TYPES.has(layer.mediaType)) return layer
  if (/nondistributable|\.foreign\./.test(layer.mediaType)) {
    throw new CoveError(
      'unsupported',
      'a layer of the image is not in the registry: it may not be distributed',
      { mediaType: layer.mediaType },
      { fix: 'Use an image without foreign layers; they are usual in Windows images only.' },
    )
  }
  if (layer.mediaType.endsWith('+encrypted')) {
    const fix = 'Decrypt the image first, for example with `skopeo copy --decryption-key`.'
    throw new CoveError('unsupported', 'a layer of the image is encrypted', {}, { fix })
  }
  const message = `a layer of the image is of an unknown type: ${quote(layer.mediaType)}`
  throw new CoveError('unsupported', message, {}, NO_IMAGE)
}

function parseIndex(body: JsonObject): Manifest {
  const entries = toList(body['manifests'], 'manifests')
  if (entries.length > MAX_ENTRIES) {
    throw new CoveError('image-invalid', `the index has more than ${MAX_ENTRIES} entries`)
  }
  return { kind: 'index', entries: entries.map(toEntry) }
}

function toEntry(value: unknown): IndexEntry {
  const object = toObject(value, 'an entry of the index')
  const { platform, annotations } = object
  const notes = isObject(annotations) ? Object.entries(annotations) : []
  return {
    ...toDescriptor(object, 'entry of the index'),
    ...(isObject(platform) ? { platform: toPlatform(platform) } : {}),
    annotations: Object.fromEntries(notes.filter((note): note is [string, string] => typeof note[1] === 'string')),
  }
}

export function toPlatform(object: JsonObject): Platform {
  const variant = toOptionalText(object['variant'], 'variant') ?? ''
  return {
    os: toOptionalText(object['os'], 'os') ?? '',
    architecture: toOptionalText(object['architecture'], 'architecture') ?? '',
    ...(variant === '' ? {} : { variant }),
  }
}

export function toDescriptor(value: unknown, what: string): Descriptor {
  const { mediaType, digest, size } = toObject(value, `the ${what}`)
  if (typeof digest !== 'string' || !isDigest(digest)) {
    throw new CoveError('image-invalid', `the ${what} has no digest of sha256 or sha512`)
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new CoveError('image-invalid', `the ${what} has no size`)
  }
  if (typeof mediaType !== 'string') throw new CoveError('image-invalid', `the ${what} has no media type`)
  return { mediaType, digest, size }
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 120))
}

const OLD = { fix: 'Push the image again with a tool of this decade, or ask for a newer tag.' }
const NO_IMAGE = { fix: 'Name an image of a container; charts, signatures and other artifacts cannot be run.' }
