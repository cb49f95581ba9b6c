import type { ImageDefaults, ImageInfo } from '../image.ts'
import type { ImageId } from '../ids.ts'
import type { DiskContent, TemplateRoot } from './driver.ts'

/**
 * The images of one node: content-addressed layers, each unpacked once. What is pinned, leased or told by `inUse`
 * stays; of everything else the longest unused goes when there is more than the budget.
 */
export interface ImageStore extends AsyncDisposable {
  /**
   * Makes sure that the image is there and unpacked. Concurrent requests for one source share the work; a broken or
   * cancelled one leaves nothing half-usable, and the next goes on where it ended. Errors: `image-not-found`,
   * `unauthenticated`, `image-invalid`, `registry-unavailable`, `unsupported`, `no-space`, `cancelled`.
   */
  fetch(source: string, options: FetchOptions): Promise<ImageLease>
  /** One that is here. `image-not-found` otherwise. */
  lease(id: ImageId): Promise<ImageLease>
  list(): Promise<readonly StoredImage[]>
  /** Where to ask what else is in use: machines, disks. Called whenever something might go. */
  keep(inUse: () => Iterable<ImageId>): void
  /** A new image: `parent` with one layer more (none when the content is empty), its defaults changed. */
  commit(request: CommitRequest): Promise<ImageLease>
  /** Keeps the image until `unpin` of the same name, also over restarts. A name pins one image. */
  pin(name: string, id: ImageId): Promise<void>
  unpin(name: string): Promise<void>
  /** Refused with `wrong-state` while it is pinned, leased or in use. Idempotent. */
  remove(id: ImageId): Promise<void>
  /** Removes what nobody needs until the rest fits the budget (or `bytes`); answers how many bytes went. */
  collect(bytes?: number): Promise<number>
  /** One archive, streamed: an OCI layout (`oci`) or what `docker load` takes (`docker`). */
  export(id: ImageId, format: 'oci' | 'docker', signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  /** Takes such an archive, either format, of any size. */
  import(archive: AsyncIterable<Uint8Array>, options: FetchOptions): Promise<ImageLease>
  /** A read-only file with the whole root, made once per image and kept with it; for virtual machines. */
  file(id: ImageId, format: 'erofs' | 'ext4', signal: AbortSignal): Promise<string>
}

export interface FetchOptions {
  readonly signal: AbortSignal
  readonly progress: (step: FetchProgress) => void
  /** Default: the one of this host. */
  readonly platform?: string
  /** Asks the registry even when an image of this name is here. Default false. */
  readonly refresh?: boolean
}

export interface FetchProgress {
  /** For people, for example `pulling layer 3 of 7`. */
  readonly step: string
  /** Of all layers together, where it is known. */
  readonly bytes?: number
  readonly totalBytes?: number
}

/** Keeps an image from being collected until it is disposed; short-lived, gone with the daemon. */
export interface ImageLease extends Disposable {
  readonly info: ImageInfo
  /** What drivers mount: folders that stay as they are as long as the image is held. */
  readonly root: TemplateRoot
}

export interface CommitRequest {
  /** `scratch`: nothing below it. `host`: the host's own programs. */
  readonly parent: ImageId | 'scratch' | 'host'
  readonly content?: LayerContent
  /** Called as soon as the content is no longer needed: whatever is frozen for it can go on. */
  readonly released?: () => void
  /** Replaces what it names. */
  readonly defaults?: Partial<ImageDefaults>
  /** Kept in the image's history, for people. */
  readonly comment?: string
  readonly signal: AbortSignal
  readonly progress: (step: FetchProgress) => void
}

/** What a layer is made of. */
export type LayerContent =
  /** What a machine has written: whiteouts included. */
  | DiskContent
  /** A tar archive put below `at`, with these ids instead of its own; `.wh.` names mean nothing special in it. */
  | {
      readonly kind: 'files'
      readonly tar: AsyncIterable<Uint8Array>
      readonly at: string
      readonly owner?: { readonly uid: number; readonly gid: number }
    }

export interface StoredImage {
  readonly info: ImageInfo
  /** Names by which it can be asked for without a registry. */
  readonly names: readonly string[]
  readonly pins: readonly string[]
  readonly inUse: boolean
  /** On this node's disk, what it shares with other images included. */
  readonly bytes: number
  /** Of those, what would go with it. */
  readonly ownBytes: number
  readonly usedAt: number
}
