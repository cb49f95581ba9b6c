import { createHash } from 'node:crypto'
import {
  CoveError,
  parseImageId,
  type ImageId,
  type ImageInfo,
  type NodeImages,
  type NodePools,
  type NodeSnapshot,
  type NodeSnapshots,
  type NodeVolumes,
  type PoolReport,
  type SavedSnapshot,
  type SnapshotId,
  type VolumeId,
  type VolumeInfo,
} from '@cove/domain'
import { StubBuilds } from './stub-builds.ts'

export interface StubFacets {
  readonly images: NodeImages
  readonly builds: StubBuilds
  readonly volumes: NodeVolumes
  readonly pools: NodePools
  readonly snapshots: NodeSnapshots
  save(request: NodeSnapshot): Promise<SavedSnapshot>
}

export const imageNamed = (name: string): ImageId =>
  parseImageId(`sha256:${createHash('sha256').update(name).digest('hex')}`)

const infoOf = (id: ImageId, source: string): ImageInfo => ({
  id,
  source,
  platform: { os: 'linux', architecture: 'amd64' },
  base: 'scratch',
  layers: [],
  defaults: { env: {}, command: [] },
  fetchedAt: 0,
})

/** What a node keeps beside its machines, in memory. Writes down what it was asked for. */
export function stubFacets(calls: string[]): StubFacets {
  const images = new Map<ImageId, ImageInfo>()
  const pins = new Map<string, ImageId>()
  const memories = new Set<SnapshotId>()
  const volumes = new Map<VolumeId, VolumeInfo>()
  let pools: readonly PoolReport[] = []
  const add = (id: ImageId, source: string): ImageInfo => {
    const info = images.get(id) ?? infoOf(id, source)
    images.set(id, info)
    return info
  }
  return {
    images: {
      list: async () =>
        [...images.values()].map((info) => ({
          info,
          names: [info.source],
          pins: [...pins].filter(([, id]) => id === info.id).map(([name]) => name),
          inUse: false,
          bytes: 0,
          ownBytes: 0,
          usedAt: 0,
        })),
      async fetch(source, pin) {
        calls.push(`fetch ${source}`)
        const info = add(imageNamed(source), source)
        pins.set(pin, info.id)
        return info
      },
      async pin(name, id) {
        if (!images.has(id)) throw new CoveError('image-not-found', 'there is no such image')
        pins.set(name, id)
      },
      async unpin(name) {
        calls.push(`unpin ${name}`)
        pins.delete(name)
      },
      async remove(id) {
        images.delete(id)
      },
      collect: async () => 0,
      async export() {
        return pieces()
      },
      async import(archive, pin) {
        const hash = createHash('sha256')
        for await (const piece of archive) hash.update(piece)
        const info = add(parseImageId(`sha256:${hash.digest('hex')}`), 'import')
        pins.set(pin, info.id)
        return info
      },
    },
    builds: new StubBuilds((info, pin) => {
      images.set(info.id, info)
      pins.set(pin, info.id)
    }),
    volumes: {
      async create(id, size) {
        calls.push(`volume ${id}`)
        const info: VolumeInfo = {
          id,
          usedBytes: 0,
          users: [],
          ...(size === undefined ? {} : { size: { ...size, enforced: true } }),
        }
        volumes.set(id, info)
        return info
      },
      list: async () => [...volumes.values()],
      async copy(from, to) {
        const source = volumes.get(from)
        if (source === undefined) throw new CoveError('volume-not-found', 'there is no such volume')
        const info = { ...source, id: to }
        volumes.set(to, info)
        return info
      },
      async remove(id) {
        calls.push(`remove volume ${id}`)
        volumes.delete(id)
      },
    },
    pools: {
      async set(specs) {
        pools = specs.map((spec) => ({ spec, ready: spec.min, making: 0, asked: 0, served: 0, broken: 0 }))
      },
      list: async () => pools,
    },
    snapshots: {
      list: async () => [...memories],
      async remove(id) {
        calls.push(`remove snapshot ${id}`)
        memories.delete(id)
        pins.delete(`snapshot/${id}`)
      },
    },
    async save({ id, kind }) {
      if (kind === 'memory') {
        memories.add(id)
        return { driver: 'stub', bytes: 100 }
      }
      const info = add(imageNamed(id), 'snapshot')
      pins.set(`snapshot/${id}`, info.id)
      return { image: info.id, bytes: 10 }
    },
  }
}

async function* pieces(): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.from('an archive'))
}
