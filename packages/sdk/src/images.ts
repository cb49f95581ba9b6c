import { ImageService, type Image as WireImage } from '@cove/api'
import { CoveError } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import { dateOf } from './convert/time.ts'
import type { Rpc } from './wire/rpc.ts'

/** One image that a node keeps. */
export interface StoredImageInfo {
  /** Digest of its configuration. */
  readonly id: string
  /** As it was asked for first. */
  readonly source: string
  /** By which it can be asked for without a registry. */
  readonly names: readonly string[]
  /** What keeps it: templates, snapshots. */
  readonly pins: readonly string[]
  /** A sandbox stands on it. */
  readonly inUse: boolean
  /** On the disk, with what it shares. */
  readonly bytes: number
  /** Of those, what would go with it. */
  readonly ownBytes: number
  readonly layers: number
  /** As in `linux/amd64`. */
  readonly platform: string
  readonly fetchedAt: Date
  readonly usedAt: Date
}

/** How far a pull is. */
export interface PullProgress {
  /** For people. */
  readonly step: string
  /** Of all layers together; 0 where it is not known. */
  readonly bytes: number
  readonly totalBytes: number
}

/** The images of the node. All but `pull` is for the operator. */
export class Images {
  readonly #rpc: Rpc

  /** @internal */
  constructor(rpc: Rpc) {
    this.#rpc = rpc
  }

  /** The last used first. */
  async list(options: CallOptions = {}): Promise<StoredImageInfo[]> {
    return (await this.#rpc.unary(ImageService.method.listImages, {}, options)).images.map(imageInfo)
  }

  /**
   * Fetches a source such as `oci:alpine:3.20`, so that the first sandbox of it need not, and answers its id. It stays until
   * the node needs the space.
   */
  async pull(
    source: string,
    options: { readonly signal?: AbortSignal; readonly onProgress?: (progress: PullProgress) => void } = {},
  ): Promise<string> {
    for await (const { event } of this.#rpc.stream(ImageService.method.pullImage, { source }, options.signal)) {
      if (event.case === 'done') return event.value.id
      if (event.case !== 'step') continue
      const { text, bytes, totalBytes } = event.value
      options.onProgress?.({ step: text, bytes: Number(bytes), totalBytes: Number(totalBytes) })
    }
    throw new CoveError('connection-lost', 'the pull ended before its end was told')
  }

  /** By its digest. Refused with `wrong-state` while something needs it. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#rpc.unary(ImageService.method.deleteImage, { id }, { ...options, idempotent: true })
  }

  /** Removes what nothing needs, and answers how many bytes are free now. */
  async prune(options: CallOptions = {}): Promise<number> {
    return Number((await this.#rpc.unary(ImageService.method.pruneImages, {}, options)).bytes)
  }
}

function imageInfo(wire: WireImage): StoredImageInfo {
  const { id, source, names, pins, inUse, bytes, ownBytes, layers, platform, fetchedAt, usedAt } = wire
  return {
    id,
    source,
    names: [...names],
    pins: [...pins],
    inUse,
    bytes: Number(bytes),
    ownBytes: Number(ownBytes),
    layers,
    platform,
    fetchedAt: fetchedAt === undefined ? new Date(0) : dateOf(fetchedAt),
    usedAt: usedAt === undefined ? new Date(0) : dateOf(usedAt),
  }
}
