import type { Platform } from '@cove/domain'
import type { ImageSource } from '../registry/image-source.ts'

export interface ArchiveOptions {
  /** Which image, when there is more than one: its tag or its name, as the archive has it. */
  readonly name?: string
  readonly platform: Platform
  /** A folder for what has to be kept while the source is in use; a folder of its own is made in it, and removed. */
  readonly scratch: string
  readonly signal: AbortSignal
  /** Bytes of the archive that have been read. */
  readonly onBytes?: (bytes: number) => void
}

/** An OCI layout or what `docker save` writes, as a tar stream of any size. */
export type OpenArchive = (archive: AsyncIterable<Uint8Array>, options: ArchiveOptions) => Promise<ImageSource>

/** An OCI layout that is a directory; it stays as it is. */
export type OpenLayout = (folder: string, options: Omit<ArchiveOptions, 'scratch' | 'onBytes'>) => Promise<ImageSource>
