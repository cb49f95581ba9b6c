import { createHash } from 'node:crypto'
import { CoveError, type ImageId } from '@cove/domain'
import type { Layer } from '@cove/containerd-engine'

/** What must be known of an image to unpack it. */
export interface Unpacking {
  /** The lowest first. */
  readonly layers: readonly (Layer & { readonly diffId: string })[]
}

/** Reads a blob that is JSON. */
export type ReadJson = (digest: string) => Promise<unknown>

const DIGEST = /^sha256:[0-9a-f]{64}$/
const MAX_LAYERS = 1024
const MAX_MANIFESTS = 64

/** Finds, from the index of an OCI layout, the manifest of this image. */
export async function findImage(index: unknown, image: ImageId, read: ReadJson): Promise<Unpacking> {
  const waiting = listOf(objectOf(index, 'index')['manifests'], 'manifests')
  for (let seen = 0; waiting.length > 0 && seen < MAX_MANIFESTS; seen += 1) {
    const manifest = objectOf(await read(digestOf(waiting.shift())), 'manifest')
    if (Array.isArray(manifest['manifests'])) {
      waiting.push(...(manifest['manifests'] as unknown[]).slice(0, MAX_MANIFESTS))
    } else if (digestOf(manifest['config']) === image) {
      return unpackingOf(manifest, objectOf(await read(image), 'configuration'))
    }
  }
  throw invalid(`the image ${image} is not in the archive`)
}

function unpackingOf(manifest: Record<string, unknown>, config: Record<string, unknown>): Unpacking {
  const layers = listOf(manifest['layers'], 'layers')
  const diffIds = listOf(objectOf(config['rootfs'], 'rootfs')['diff_ids'], 'diff_ids')
  if (layers.length !== diffIds.length) throw invalid('it has not as many layers as it says')
  return {
    layers: layers.map((value, at) => {
      const { mediaType, size } = objectOf(value, 'layer')
      const diffId = diffIds[at]
      if (typeof mediaType !== 'string' || !Number.isSafeInteger(size)) throw invalid('a layer has no type or size')
      if (typeof diffId !== 'string' || !DIGEST.test(diffId)) throw invalid('a layer has no digest')
      return { mediaType, digest: digestOf(value), bytes: Number(size), diffId }
    }),
  }
}

/** Names what all layers up to one of them come to, as in the OCI image specification. */
export function chainOf(parent: string, diffId: string): string {
  if (parent === '') return diffId
  return `sha256:${createHash('sha256').update(`${parent} ${diffId}`).digest('hex')}`
}

function digestOf(value: unknown): string {
  const { digest } = objectOf(value, 'descriptor')
  if (typeof digest !== 'string' || !DIGEST.test(digest)) throw invalid('a descriptor has no digest')
  return digest
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`its ${what} is no object`)
  return value as Record<string, unknown>
}

function listOf(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value) || value.length > MAX_LAYERS) throw invalid(`its ${what} are no list`)
  return [...(value as unknown[])]
}

function invalid(what: string): CoveError {
  return new CoveError('image-invalid', `the image cannot be read: ${what}`)
}
