import type { ImageId } from './ids.ts'

/** What programs of an image were built for; words as in the OCI image specification (`linux`, `amd64`, `v8`). */
export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

/** What an image says of the processes that are started in it. */
export interface ImageDefaults {
  readonly env: Readonly<Record<string, string>>
  /** Absolute. */
  readonly workdir?: string
  /** A name or a number, with `:group` or without. */
  readonly user?: string
  /** Entry point and command together: what a container engine would run. */
  readonly command: readonly string[]
}

export interface ImageLayer {
  /** Digest of the layer's uncompressed tar archive (the `diff_id` of the OCI image specification). */
  readonly diffId: string
  /** Of what is unpacked of it. */
  readonly bytes: number
}

/** One image on a node. */
export interface ImageInfo {
  readonly id: ImageId
  /** As it was asked for first, for example `oci:docker.io/library/alpine:3.20`. */
  readonly source: string
  readonly platform: Platform
  /** `host`: its layers lie over the host's own programs, so that it means nothing on another host. */
  readonly base: 'scratch' | 'host'
  /** The lowest first, as in an image's configuration. */
  readonly layers: readonly ImageLayer[]
  readonly defaults: ImageDefaults
  /** Unix milliseconds. */
  readonly fetchedAt: number
}
