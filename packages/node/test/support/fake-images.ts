import { createHash } from 'node:crypto'
import {
  CoveError,
  type CommitRequest,
  type ImageDefaults,
  type ImageId,
  type ImageInfo,
  type ImageLease,
  type ImageStore,
  type StoredImage,
} from '@cove/domain'

/** An image store in memory that keeps no content, only what it was made of: for what happens around it. */
export class FakeImages implements ImageStore {
  readonly images = new Map<ImageId, ImageInfo>()
  readonly pins = new Map<string, ImageId>()
  /** In their order, for people. */
  readonly commits: CommitRequest[] = []
  /** Leases that nobody has let go yet. */
  leased = 0
  beforeCommit: (request: CommitRequest) => Promise<void> = async () => {}
  /** What an image says of its processes, by its source. */
  readonly defaults = new Map<string, ImageDefaults>()

  async fetch(source: string): Promise<ImageLease> {
    if (source === 'oci:missing') throw new CoveError('image-not-found', `there is no ${source}`)
    const id = idOf(source)
    if (!this.images.has(id)) {
      this.#add(id, source, 'scratch', [], this.defaults.get(source) ?? { env: {}, command: [] })
    }
    return await this.lease(id)
  }

  async lease(id: ImageId): Promise<ImageLease> {
    const info = this.images.get(id)
    if (info === undefined) throw new CoveError('image-not-found', `there is no image ${id}`)
    this.leased++
    let held = true
    const lower = [...info.layers.map(({ diffId }) => `/layers/${diffId}`), '/layers/base']
    return {
      info,
      root: info.base === 'host' ? { kind: 'host', layers: lower } : { kind: 'layers', lower, image: id },
      [Symbol.dispose]: () => {
        if (held) this.leased--
        held = false
      },
    }
  }

  async list(): Promise<readonly StoredImage[]> {
    return [...this.images.values()].map((info) => ({
      info,
      names: [info.source],
      pins: [...this.pins].filter(([, id]) => id === info.id).map(([name]) => name),
      inUse: false,
      bytes: 0,
      ownBytes: 0,
      usedAt: 0,
    }))
  }

  keep(): void {}

  async commit(request: CommitRequest): Promise<ImageLease> {
    await this.beforeCommit(request)
    if (request.signal.aborted) throw CoveError.from(request.signal.reason, 'cancelled')
    this.commits.push(request)
    const { parent, content, defaults } = request
    const below = parent === 'host' || parent === 'scratch' ? undefined : this.images.get(parent)
    const hash = createHash('sha256').update(JSON.stringify([parent, defaults ?? {}]))
    if (content !== undefined && content.kind !== 'upper') for await (const chunk of content.tar) hash.update(chunk)
    const id = `sha256:${hash.digest('hex')}` as ImageId
    const base = below?.base ?? (parent === 'host' ? 'host' : 'scratch')
    const layers = [...(below?.layers ?? []), ...(content === undefined ? [] : [{ diffId: id, bytes: 1 }])]
    this.#add(id, 'commit', base, layers, { ...(below?.defaults ?? { env: {}, command: [] }), ...defaults })
    return await this.lease(id)
  }

  async pin(name: string, id: ImageId): Promise<void> {
    if (!this.images.has(id)) throw new CoveError('image-not-found', `there is no image ${id}`)
    this.pins.set(name, id)
  }

  async unpin(name: string): Promise<void> {
    this.pins.delete(name)
  }

  async remove(id: ImageId): Promise<void> {
    this.images.delete(id)
  }

  async collect(): Promise<number> {
    const pinned = new Set(this.pins.values())
    for (const id of this.images.keys()) if (!pinned.has(id)) this.images.delete(id)
    return 0
  }

  export(): never {
    throw new CoveError('unsupported', 'the fake exports nothing')
  }

  import(): never {
    throw new CoveError('unsupported', 'the fake imports nothing')
  }

  file(): never {
    throw new CoveError('unsupported', 'the fake makes no files')
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #add(
    id: ImageId,
    source: string,
    base: ImageInfo['base'],
    layers: ImageInfo['layers'],
    defaults: ImageDefaults,
  ): void {
    this.images.set(id, {
      id,
      source,
      platform: { os: 'linux', architecture: 'amd64' },
      base,
      layers,
      defaults,
      fetchedAt: 0,
    })
  }
}

export const idOf = (text: string): ImageId => `sha256:${createHash('sha256').update(text).digest('hex')}` as ImageId
