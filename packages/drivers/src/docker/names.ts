import { createHash } from 'node:crypto'
import { parseDiskId, parseMachineId, type DiskId, type ImageId, type MachineId } from '@cove/domain'

/** Labels of what the driver makes in an engine. They never change; what changes is in a container's name. */
export const LABEL = {
  installation: 'cove.installation',
  kind: 'cove.kind',
  /** The disk that the container is. */
  disk: 'cove.disk',
  /** Image that it was made from. */
  image: 'cove.image',
  /** Digest of all that cannot be changed later. */
  shape: 'cove.shape',
  /** Limits that were asked for and what came of them. */
  limits: 'cove.limits',
  /** Names the try that made it. */
  attempt: 'cove.attempt',
} as const

/** What a container or volume is for. */
export const KIND = { machine: 'machine', helper: 'machine-helper', agent: 'machine-agent' } as const

/** Who a container is. One that is a machine has been started for it, unless it was never started at all. */
export type Role = { readonly machine: MachineId } | { readonly freeDisk: DiskId } | undefined

/** The names of one installation's things in an engine. */
export class Names {
  readonly installation: string
  readonly #word: string

  constructor(installation: string) {
    this.installation = installation
    // Names take few characters; whatever an installation is called, it has one word.
    this.#word = /^[a-z0-9]{4,32}$/.test(installation)
      ? installation
      : createHash('sha256').update(installation).digest('hex').slice(0, 16)
  }

  machine(id: MachineId): string {
    return `cove-machine-${this.#word}-${id}`
  }

  /** Of a container that is a disk which no machine uses. */
  disk(id: DiskId): string {
    return `cove-disk-${this.#word}-${id}`
  }

  role(containerName: string): Role {
    const found = /^cove-(machine|disk)-([a-z0-9]+)-(.+)$/.exec(containerName)
    if (found === null || found[2] !== this.#word) return undefined
    try {
      const id = found[3] ?? ''
      return found[1] === 'machine' ? { machine: parseMachineId(id) } : { freeDisk: parseDiskId(id) }
    } catch {
      return undefined
    }
  }

  /** By all the names that a container has. */
  roleOf(containerNames: readonly string[]): Role {
    return containerNames.map((name) => this.role(name)).find((role) => role !== undefined)
  }

  /** Volume with one version of the guest program. */
  agentVolume(digest: string): string {
    return `cove-agent-${this.#word}-${digest.slice(0, 16)}`
  }

  /** Repository of the images that the engine has been given. */
  get images(): string {
    return `cove-${this.#word}/image`
  }

  imageTag(id: ImageId): string {
    return id.slice('sha256:'.length)
  }

  /** Repository of disks whose container had to be made anew. */
  get disks(): string {
    return `cove-${this.#word}/disk`
  }

  /** Repository of what is saved of machines for a moment. */
  get saved(): string {
    return `cove-${this.#word}/saved`
  }

  /** There while a machine stands still only because its disk is read. */
  readingTag(id: MachineId): string {
    return `reading-${id}`
  }

  labels(kind: (typeof KIND)[keyof typeof KIND]): Readonly<Record<string, string>> {
    return { [LABEL.installation]: this.installation, [LABEL.kind]: kind }
  }
}
