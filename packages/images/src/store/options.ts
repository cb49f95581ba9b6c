import type { Clock, Log } from '@cove/domain'
import type { RegistryOptions } from '../registry/registry.ts'
import type { LayerTool } from './layer-tool.ts'
import type { Step } from './step.ts'

export interface ImageStoreOptions {
  /**
   * Everything is kept below it. One process at a time may have it open; the store does not look for others: whoever
   * opens it holds the lock of the node's own records, which lie beside it.
   */
  readonly folder: string
  /** Path of the program `cove-layers`. */
  readonly layersProgram: string
  readonly clock: Clock
  readonly log?: Log
  /** Mirrors, registries in plain HTTP, credentials. */
  readonly registry?: RegistryOptions
  /** Bytes on the disk above which unused images go. Default 32 GiB. */
  readonly budgetBytes?: number
  /** How `dockerfile:` sources are built. Default: by a Docker engine or buildah, where one is installed. */
  readonly buildDockerfile?: DockerfileBuilder
}

/** Builds the image of a Dockerfile, or of the one in a folder, and puts it as `docker save` does at `archive`. */
export type DockerfileBuilder = (request: DockerfileBuild) => Promise<void>

export interface DockerfileBuild {
  readonly path: string
  readonly archive: string
  /** An empty folder for what is needed meanwhile. */
  readonly scratch: string
  /** As in `linux/amd64`. */
  readonly platform: string
  readonly signal: AbortSignal
  readonly progress: (line: string) => void
}

/** For tests: a store whose parts fail where they are told to. */
export interface ImageStoreInsides {
  readonly step?: Step
  readonly layers?: (tool: LayerTool) => LayerTool
  readonly sync?: (folder: string) => Promise<void>
}
