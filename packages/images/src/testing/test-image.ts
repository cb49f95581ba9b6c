import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'

export interface TestImageOptions {
  /** Uncompressed tar archives, the lowest first. */
  readonly layers: readonly Uint8Array[]
  readonly compression?: 'none' | 'gzip' | 'zstd'
  /** The part `config` of the configuration: `Env`, `Cmd`, … */
  readonly config?: object
  /** More than one makes an index. Default: linux/amd64. */
  readonly platforms?: readonly { readonly os: string; readonly architecture: string; readonly variant?: string }[]
  /** Media types of Docker instead of those of the OCI. */
  readonly docker?: boolean
  /** `org.opencontainers.image.ref.name` in the layout. Default `latest`. */
  readonly tag?: string
}

/** An OCI layout on disk, made byte by byte; removed when disposed. */
export class TestImage implements Disposable {
  readonly folder: string
  readonly tag: string
  /** Of the last platform. */
  configDigest = ''
  layerDigests: readonly string[] = []

  constructor(options: TestImageOptions) {
    this.folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    this.tag = options.tag ?? 'latest'
    mkdirSync(join(this.folder, 'blobs/sha256'), { recursive: true })
    writeFileSync(join(this.folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
    const platforms = options.platforms ?? [{ os: 'linux', architecture: 'amd64' }]
    const manifests = platforms.map((platform) => ({ ...this.#image(options, platform), platform }))
    const [only] = manifests
    const top = manifests.length === 1 && only !== undefined ? only : this.#index(options, manifests)
    const annotations = { 'org.opencontainers.image.ref.name': this.tag }
    const index = { schemaVersion: 2, manifests: [{ ...top, annotations }] }
    writeFileSync(join(this.folder, 'index.json'), JSON.stringify(index))
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  blob(digest: string): string {
    return join(this.folder, 'blobs', digest.replace(':', '/'))
  }

  /** A blob of these bytes, and what a manifest says of it. */
  #write(bytes: Uint8Array, mediaType: string) {
    const hex = createHash('sha256').update(bytes).digest('hex')
    writeFileSync(join(this.folder, 'blobs/sha256', hex), bytes)
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length }
  }

  #image({ layers, compression = 'gzip', config = {}, docker = false }: TestImageOptions, platform: object) {
    const diffIds = layers.map((tar) => `sha256:${createHash('sha256').update(tar).digest('hex')}`)
    const blobs = layers.map((tar) => this.#write(PACK[compression](tar), layerType(docker, compression)))
    const text = JSON.stringify({ ...platform, config, rootfs: { type: 'layers', diff_ids: diffIds } })
    const type = docker ? 'application/vnd.docker.container.image.v1+json' : 'application/vnd.oci.image.config.v1+json'
    const descriptor = this.#write(Buffer.from(text), type)
    this.configDigest = descriptor.digest
    this.layerDigests = blobs.map(({ digest }) => digest)
    const mediaType = docker
      ? 'application/vnd.docker.distribution.manifest.v2+json'
      : 'application/vnd.oci.image.manifest.v1+json'
    return this.#document({ schemaVersion: 2, mediaType, config: descriptor, layers: blobs })
  }

  #index({ docker = false }: TestImageOptions, manifests: readonly object[]) {
    const mediaType = docker
      ? 'application/vnd.docker.distribution.manifest.list.v2+json'
      : 'application/vnd.oci.image.index.v1+json'
    return this.#document({ schemaVersion: 2, mediaType, manifests })
  }

  #document(value: { readonly mediaType: string; readonly schemaVersion: 2; readonly [name: string]: unknown }) {
    return this.#write(Buffer.from(JSON.stringify(value)), value.mediaType)
  }
}

const PACK = {
  none: (tar: Uint8Array): Uint8Array => tar,
  gzip: (tar: Uint8Array): Uint8Array => gzipSync(tar),
  /** In several frames and one without content, as those write it who want to read single files of it. */
  zstd: (tar: Uint8Array): Uint8Array => {
    const half = Math.floor(tar.length / 2)
    const nothing = Buffer.from('502a4d1804000000deadbeef', 'hex')
    return Buffer.concat([zstdCompressSync(tar.subarray(0, half)), zstdCompressSync(tar.subarray(half)), nothing])
  },
}

function layerType(docker: boolean, compression: keyof typeof PACK): string {
  const ending = compression === 'none' ? '' : compression
  if (docker) return `application/vnd.docker.image.rootfs.diff.tar${ending === '' ? '' : `.${ending}`}`
  return `application/vnd.oci.image.layer.v1.tar${ending === '' ? '' : `+${ending}`}`
}
