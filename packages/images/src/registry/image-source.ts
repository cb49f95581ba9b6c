import type { ImageDefaults, Platform } from '@cove/domain'

/** What a manifest says of one blob. */
export interface Descriptor {
  readonly mediaType: string
  /** `sha256:` or `sha512:` and lowercase hex digits. */
  readonly digest: string
  /** Bytes, exactly. */
  readonly size: number
}

/** One layer as it is stored or sent: a tar archive, perhaps compressed. */
export interface LayerBlob extends Descriptor {
  /** Digest of the archive without its compression, as the image's configuration has it. Checked by whoever unpacks. */
  readonly diffId: string
}

/** How a blob is compressed; told by its first bytes, never by its media type. */
export type Compression = 'none' | 'gzip' | 'zstd'

/** An image's configuration, understood. */
export interface ImageConfig {
  readonly platform: Platform
  readonly defaults: ImageDefaults
  /** The lowest first; one per layer. */
  readonly diffIds: readonly string[]
}

export interface FetchLayerOptions {
  readonly signal: AbortSignal
  /** Told now and then: bytes of this blob that are there, those of earlier attempts included; never more than its size. */
  readonly onBytes?: (bytes: number) => void
}

/** One image of one platform, wherever it comes from; its layers are fetched one by one, in any order, in parallel. */
export interface ImageSource extends AsyncDisposable {
  /** In full, for example `docker.io/library/alpine:3.20`; of an archive, the tag in it, or the digest of its configuration. */
  readonly name: string
  /** Of the configuration. When it is sha256, this is the `ImageId`. */
  readonly configDigest: string
  /** The configuration itself, digest and size verified. */
  readonly config: Uint8Array
  readonly parsed: ImageConfig
  /** The lowest first. The same blob may be there twice. */
  readonly layers: readonly LayerBlob[]
  /**
   * Puts the blob of a layer at `file`, which is not there before: digest and size verified, synced, never half. A
   * broken or cancelled attempt leaves `<file>.part`, from which the next one goes on. One attempt per file at a time.
   * Errors: `image-not-found`, `image-invalid`, `registry-unavailable`, `unauthenticated`, `no-space`, `cancelled`.
   */
  fetchLayer(layer: LayerBlob, file: string, options: FetchLayerOptions): Promise<Compression>
}
