import type { Clock, Log } from '@cove/domain'
import type { openArchive, openLayout } from '../archive/open-archive.ts'
import type { Compression } from '../registry/image-source.ts'
import type { Registry } from '../registry/registry.ts'
import type { Catalog } from './catalog.ts'
import type { Folders } from './folders.ts'
import type { Gate } from './gate.ts'
import type { Hold } from './holds.ts'
import type { LayerTool } from './layer-tool.ts'
import type { DockerfileBuilder } from './options.ts'
import type { Rubbish } from './rubbish.ts'
import type { SharedWork } from './shared-work.ts'
import type { Step } from './step.ts'

/** A layer that is here and stays as long as it is held. */
export interface HeldLayer extends Hold {
  readonly number: number
  again(): HeldLayer
}

/** The blob of a layer is in its place. */
export interface FetchedBlob extends Hold {
  readonly compression: Compression
  again(): FetchedBlob
}

/** How images are reached that are not here. */
export interface Openers {
  readonly registry: Registry['resolve']
  readonly archive: typeof openArchive
  readonly layout: typeof openLayout
}

/** What the steps of an image's life work with. */
export interface StoreParts {
  readonly folders: Folders
  readonly catalog: Catalog
  readonly layers: LayerTool
  readonly openers: Openers
  readonly buildDockerfile?: DockerfileBuilder
  /** One pull per blob; progress is bytes of it. */
  readonly pulls: SharedWork<FetchedBlob, number>
  /** One unpacking per layer. */
  readonly unpacks: SharedWork<HeldLayer, void>
  readonly unpacking: Gate
  readonly rubbish: Rubbish
  readonly clock: Clock
  readonly log: Log
  readonly step: Step
  /** Waits until everything below a folder is on the disk. */
  readonly sync: (folder: string) => Promise<void>
  /** Of the boot that this process runs in. */
  readonly bootId: string
  /** Lets go of connections. */
  close(): void
}
