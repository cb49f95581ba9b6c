import type { ImageId, ImageInfo } from '@cove/domain'
import type { Compression } from '../registry/image-source.ts'

/** A layer as it was pulled, kept so that the image can be given away again unchanged. */
export interface BlobRecord {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly compression: Compression
}

export interface LayerRecord {
  /** Never used twice; names the folder. */
  readonly number: number
  /** By which it is found: its diff id, and what it lies on where its content depends on that. */
  readonly key: string
  readonly diffId: string
  /** Unpacked, on the disk. */
  readonly bytes: number
  readonly entries: number
  /** Of the archive without compression. */
  readonly archiveBytes: number
  /** Absent for layers that were made here: packing them again gives the same bytes. */
  readonly blob?: BlobRecord
  /** Written in the boot with this id and perhaps not on the disk yet. */
  readonly unsynced?: string
  /** Unix milliseconds. */
  readonly madeAt: number
}

export interface ImageRecord {
  /** Never used twice; names its files. */
  readonly number: number
  readonly info: ImageInfo
  /** Numbers of its layers, the lowest first. */
  readonly layers: readonly number[]
  readonly usedAt: number
}

export interface NameRecord {
  readonly image: ImageId
  /** What the source looked like then; another one makes the name void. */
  readonly stamp?: string
}

/** Everything that the store knows, in the order in which it came to know it. */
export interface State {
  readonly next: number
  readonly layers: ReadonlyMap<number, LayerRecord>
  readonly images: ReadonlyMap<ImageId, ImageRecord>
  readonly names: ReadonlyMap<string, NameRecord>
  readonly pins: ReadonlyMap<string, ImageId>
}

/** A state that is being changed. */
export interface Draft {
  next: number
  readonly layers: Map<number, LayerRecord>
  readonly images: Map<ImageId, ImageRecord>
  readonly names: Map<string, NameRecord>
  readonly pins: Map<string, ImageId>
}

export const emptyState: State = {
  next: 1,
  layers: new Map(),
  images: new Map(),
  names: new Map(),
  pins: new Map(),
}

export function draftOf(state: State): Draft {
  return {
    next: state.next,
    layers: new Map(state.layers),
    images: new Map(state.images),
    names: new Map(state.names),
    pins: new Map(state.pins),
  }
}

/** Takes an image out, with the names that mean it. */
export function dropImage(draft: Draft, id: ImageId): void {
  draft.images.delete(id)
  for (const [name, { image }] of draft.names) if (image === id) draft.names.delete(name)
}
