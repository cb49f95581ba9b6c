import { createHash } from 'node:crypto'
import type { ImageId } from '@cove/domain'

export interface OciArchive {
  readonly image: ImageId
  /** An OCI layout as one tar archive. */
  readonly bytes: Uint8Array
}

/** An image of these layers, tar archives each, the lowest first. */
export function ociArchive(layers: readonly Uint8Array[], change: (files: Map<string, Uint8Array>) => void = () => {}) {
  const files = new Map<string, Uint8Array>()
  const add = (bytes: Uint8Array, mediaType: string) => {
    const digest = digestOf(bytes)
    files.set(`blobs/sha256/${digest.slice('sha256:'.length)}`, bytes)
    return { mediaType, digest, size: bytes.length }
  }
  const config = add(
    json({
      os: 'linux',
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      rootfs: { type: 'layers', diff_ids: layers.map(digestOf) },
    }),
    type('config.v1+json'),
  )
  const manifest = add(
    json({
      schemaVersion: 2,
      mediaType: type('manifest.v1+json'),
      config,
      layers: layers.map((layer) => add(layer, type('layer.v1.tar'))),
    }),
    type('manifest.v1+json'),
  )
  files.set('oci-layout', json({ imageLayoutVersion: '1.0.0' }))
  files.set('index.json', json({ schemaVersion: 2, manifests: [manifest] }))
  change(files)
  const parts = [...files].flatMap(([path, bytes]) => tarFile(path, bytes))
  return { image: config.digest as ImageId, bytes: Buffer.concat([...parts, Buffer.alloc(1024)]) } satisfies OciArchive
}

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))
const type = (name: string): string => `application/vnd.oci.image.${name}`

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** One file of a tar archive: header, content, padding. */
export function tarFile(path: string, bytes: Uint8Array): readonly Uint8Array[] {
  const header = Buffer.alloc(512)
  header.write(path, 0, 100)
  header.write('0000644\0', 100)
  header.write('0000000\0', 108)
  header.write('0000000\0', 116)
  header.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124)
  header.write('00000000000\0', 136)
  header.write('        0', 148)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]
}
