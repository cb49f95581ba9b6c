import type { ImageInfo } from '../image.ts'
import type { ImageId, SandboxId, SnapshotId, VolumeId } from '../ids.ts'
import type { Limit, Limits } from '../limits.ts'
import type { Network } from '../network.ts'
import type { Origin, StartCommand, TemplateMemory } from '../sandbox.ts'
import type { FetchProgress, StoredImage } from './images.ts'

/** The images of one node, for the control plane. */
export interface NodeImages {
  list(): Promise<readonly StoredImage[]>
  /**
   * Fetched and pinned under a name, so that it stays until that name is unpinned. With `refresh` its registry is asked
   * also when an image of this name is here.
   */
  fetch(
    source: string,
    pin: string,
    progress: (step: FetchProgress) => void,
    signal: AbortSignal,
    refresh?: boolean,
  ): Promise<ImageInfo>
  pin(name: string, id: ImageId): Promise<void>
  unpin(name: string): Promise<void>
  remove(id: ImageId): Promise<void>
  collect(bytes?: number): Promise<number>
  export(id: ImageId, format: 'oci' | 'docker', signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  import(archive: AsyncIterable<Uint8Array>, pin: string, signal: AbortSignal): Promise<ImageInfo>
}

/** One thing that a build does after another. */
export type BuildStep =
  /** A command for the shell of the image. */
  | { readonly kind: 'run'; readonly command: string }
  /** Files of a build context (a tar archive, by its digest) put below `to`. */
  | {
      readonly kind: 'copy'
      readonly context: string
      readonly to: string
      readonly owner?: { readonly uid: number; readonly gid: number }
    }
  | { readonly kind: 'env'; readonly env: Readonly<Record<string, string>> }
  | { readonly kind: 'workdir'; readonly path: string }
  | { readonly kind: 'user'; readonly user: string }

export interface BuildRequest {
  /** Chosen by the caller; file-name safe. Asking twice is asking once. */
  readonly id: string
  readonly from: Origin
  readonly steps: readonly BuildStep[]
  /** For the machines that carry out `run` steps. */
  readonly network: Network
  readonly limits: Limits
  readonly driver?: string
  /** Does every step again, also those that were done before with the same content. */
  readonly noCache?: boolean
  /** Tried at the end in a machine of the result: a template whose start command fails is not done. */
  readonly start?: StartCommand
}

/** Offsets count the bytes of the log from 0. */
export type BuildEvent =
  | { readonly type: 'step'; readonly index: number; readonly text: string; readonly cached: boolean }
  | { readonly type: 'log'; readonly offset: number; readonly text: string }
  | { readonly type: 'done'; readonly image: ImageInfo }
  | { readonly type: 'failed'; readonly code: string; readonly message: string; readonly fix: string }

/** Builds go on without whoever asked for them; their logs stay until they are removed. */
export interface NodeBuilds {
  /** Whether the archive with this digest (`sha256:` and hex) is here already. */
  hasContext(digest: string): Promise<boolean>
  /** `invalid-argument` when the bytes are not those. Kept for a day. */
  putContext(digest: string, tar: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>
  start(request: BuildRequest): Promise<void>
  /** From an offset of its log, then live; ends after `done` or `failed`. `build-not-found` when nobody knows it. */
  follow(id: string, from: number, signal: AbortSignal): AsyncIterable<BuildEvent>
  cancel(id: string): Promise<void>
  /** Forgets it and its log; its image stays only as far as it is pinned. Idempotent. */
  remove(id: string): Promise<void>
}

export interface SavedSnapshot {
  /** Where it can be restored; absent for a `filesystem` snapshot, which every driver can take. */
  readonly driver?: string
  /** The image that a `filesystem` snapshot is. */
  readonly image?: ImageId
  /** What it takes beside what it shares. */
  readonly bytes: number
  /** Of a memory: what it was saved with and needs again, such as a version. */
  readonly details?: Readonly<Record<string, string>>
}

/** Memory snapshots of one node; `filesystem` snapshots are images. */
export interface NodeSnapshots {
  list(): Promise<readonly SnapshotId[]>
  /** Idempotent. */
  remove(id: SnapshotId): Promise<void>
}

export interface VolumeInfo {
  readonly id: VolumeId
  /** The size that was asked for, and whether it is enforced. */
  readonly size?: Limit & { readonly enforced: boolean }
  readonly usedBytes: number
  /** Sandboxes of this node that have it mounted, or will when they are started again. */
  readonly users: readonly SandboxId[]
}

/** Persistent directories of one node. */
export interface NodeVolumes {
  /** `limit-not-enforceable` when a required size cannot be enforced. `already-exists` for an id that is there. */
  create(id: VolumeId, size: Limit | undefined): Promise<VolumeInfo>
  list(): Promise<readonly VolumeInfo[]>
  /**
   * A volume of its own with the same content and size: as of one moment where the first has a size of its own, file by
   * file where it has none.
   */
  copy(from: VolumeId, to: VolumeId, signal: AbortSignal): Promise<VolumeInfo>
  /** `wrong-state` while a sandbox uses it. Idempotent. */
  remove(id: VolumeId): Promise<void>
}

/** Machines made ahead for sandboxes that will ask for exactly this. */
export interface PoolSpec {
  readonly name: string
  readonly from: Origin
  /** Its machines go on from this where their driver keeps it. */
  readonly memory?: TemplateMemory
  /** Default: the one that `auto` takes. */
  readonly driver?: string
  readonly limits: Limits
  readonly network: Network
  /** Kept ready when nobody asks, and the most that is made ahead when many ask. */
  readonly min: number
  readonly max: number
}

export interface PoolReport {
  readonly spec: PoolSpec
  readonly driver?: string
  readonly ready: number
  readonly making: number
  /** Creates that it could have served, and those that it did, since the node started. */
  readonly asked: number
  readonly served: number
  /** Machines that ended or did not answer before anyone took them. */
  readonly broken: number
  /** Why the last refill failed, while it does. */
  readonly problem?: string
}

export interface NodePools {
  /** These and no others from now on; machines of pools that are gone, or that ask for something else now, go. */
  set(pools: readonly PoolSpec[]): Promise<void>
  list(): Promise<readonly PoolReport[]>
}
