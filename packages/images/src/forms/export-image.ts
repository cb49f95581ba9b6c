import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { CoveError } from '@cove/domain'
import { decompressed } from '../layers/decompress.ts'
import { blobFile, layerFolder } from '../store/folders.ts'
import type { HeldImage } from '../store/keep-image.ts'
import type { LayerRecord } from '../store/records.ts'
import type { StoreParts } from '../store/parts.ts'
import { writeTar, type TarFile } from './tar-writer.ts'

export interface ExportRequest {
  /** Held until the archive has been read or given up, or was not begun to be read for a minute. */
  readonly image: HeldImage
  readonly config: Uint8Array
  readonly format: 'oci' | 'docker'
  readonly signal: AbortSignal
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const CONFIG = 'application/vnd.oci.image.config.v1+json'
const LAYER = 'application/vnd.oci.image.layer.v1.tar'
/** Of a blob as it was pulled: by how it is compressed, in the words of the OCI whatever the registry's were. */
const COMPRESSED = { none: LAYER, gzip: `${LAYER}+gzip`, zstd: `${LAYER}+zstd` } as const

/** Whoever does not begin to read within a minute does not want the archive any more. */
const PATIENCE_MS = 60_000

/** One archive; the same image gives the same bytes. Memory stays flat, and nothing is written. */
export function exportImage(
  parts: StoreParts,
  request: ExportRequest,
  patienceMs = PATIENCE_MS,
): AsyncGenerator<Uint8Array> {
  let isGivenUp = false
  const timer = setTimeout(() => {
    isGivenUp = true
    request.image[Symbol.dispose]()
  }, patienceMs).unref()
  return (async function* () {
    clearTimeout(timer)
    if (isGivenUp) throw new CoveError('cancelled', 'nobody has begun to read the archive of the image')
    yield* readArchive(parts, request)
  })()
}

async function* readArchive(parts: StoreParts, request: ExportRequest): AsyncGenerator<Uint8Array> {
  using image = request.image
  const layers = image.record.layers.map((number) => parts.catalog.layer(number))
  const files = request.format === 'oci' ? ociFiles(parts, request, layers) : dockerFiles(parts, request, layers)
  try {
    for await (const chunk of writeTar(files)) {
      if (request.signal.aborted) throw CoveError.from(request.signal.reason, 'cancelled')
      yield chunk
    }
  } catch (error) {
    throw CoveError.from(error, 'io-error')
  }
}

/** The layout of the OCI image specification; layers that were pulled as they were pulled. */
function ociFiles(parts: StoreParts, { config, signal }: ExportRequest, layers: readonly LayerRecord[]): TarFile[] {
  const id = digestOf(config)
  const descriptors = layers.map(({ blob, diffId, archiveBytes }) =>
    blob === undefined
      ? { mediaType: LAYER, digest: diffId, size: archiveBytes }
      : { mediaType: COMPRESSED[blob.compression], digest: blob.digest, size: blob.size },
  )
  const manifest = json({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: CONFIG, digest: id, size: config.length },
    layers: descriptors,
  })
  const index = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        mediaType: MANIFEST,
        digest: digestOf(manifest),
        size: manifest.length,
        annotations: { 'org.opencontainers.image.ref.name': 'latest' },
      },
    ],
  })
  const files = [
    bytesFile('oci-layout', json({ imageLayoutVersion: '1.0.0' })),
    bytesFile('index.json', index),
    bytesFile(blobName(digestOf(manifest)), manifest),
    bytesFile(blobName(id), config),
    ...layers.map((layer, at): TarFile => {
      const { digest, size } = descriptors[at] ?? { digest: layer.diffId, size: 0 }
      return { name: blobName(digest), size, content: () => blobOf(parts, layer, signal) }
    }),
  ]
  return once(files)
}

/** What `docker load` takes: layers without compression, each in its folder. */
function dockerFiles(parts: StoreParts, { config, signal }: ExportRequest, layers: readonly LayerRecord[]): TarFile[] {
  const names = layers.map(({ diffId }) => `${hex(diffId)}/layer.tar`)
  const configName = `${hex(digestOf(config))}.json`
  return once([
    bytesFile('manifest.json', json([{ Config: configName, RepoTags: null, Layers: names }])),
    bytesFile(configName, config),
    ...layers.map((layer, at): TarFile => {
      return { name: names[at] ?? '', size: layer.archiveBytes, content: () => archiveOf(parts, layer, signal) }
    }),
  ])
}

function blobOf(parts: StoreParts, layer: LayerRecord, signal: AbortSignal): AsyncIterable<Uint8Array> {
  if (layer.blob === undefined) return packed(parts, layer, signal)
  return createReadStream(blobFile(parts.folders, layer.blob.digest), { highWaterMark: 1 << 20 })
}

function archiveOf(parts: StoreParts, layer: LayerRecord, signal: AbortSignal): AsyncIterable<Uint8Array> {
  return decompressed(blobOf(parts, layer, signal), layer.blob?.compression ?? 'none')
}

/** A layer that was made here, packed again; it has to be what its name says. */
async function* packed(parts: StoreParts, layer: LayerRecord, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  for await (const chunk of parts.layers.pack(layerFolder(parts.folders, layer.number), signal)) {
    hash.update(chunk)
    yield chunk
  }
  if (`sha256:${hash.digest('hex')}` === layer.diffId) return
  throw new CoveError(
    'image-invalid',
    'a layer on this node is not what it was when it was made',
    {},
    {
      fix: 'Remove the image and make it again; something has changed its files.',
    },
  )
}

/** The same layer may lie in an image twice. */
function once(files: readonly TarFile[]): TarFile[] {
  return [...new Map(files.map((file) => [file.name, file])).values()]
}

const bytesFile = (name: string, bytes: Uint8Array): TarFile => ({ name, size: bytes.length, content: () => [bytes] })
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))
const hex = (digest: string): string => digest.slice(digest.indexOf(':') + 1)
const blobName = (digest: string): string => `blobs/${digest.replace(':', '/')}`
const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
