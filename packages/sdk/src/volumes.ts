import { VolumeService, type Volume as WireVolume } from '@cove/api'
import { CoveError } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import { dateOf } from './convert/time.ts'
import type { Rpc } from './wire/rpc.ts'

/** A directory that outlives sandboxes and can be mounted into many. */
export interface VolumeInfo {
  readonly id: string
  readonly project: string
  readonly name: string
  /** Absent: as much as the disk has. */
  readonly sizeBytes?: number
  /** Whether more than that cannot be written. */
  readonly enforced: boolean
  readonly usedBytes: number
  /** Ids of the sandboxes that use it. */
  readonly sandboxes: readonly string[]
  readonly createdAt: Date
  readonly labels: Readonly<Record<string, string>>
  /** Sandboxes can only read it. */
  readonly readOnly: boolean
  /** Id of the volume whose content it got. */
  readonly source?: string
}

/** A volume as a sandbox is to see it. */
export interface VolumeMount {
  /** Id or name. */
  readonly volume: string
  /** Where it is inside, absolute. */
  readonly path: string
  /** Default false. */
  readonly readOnly?: boolean
}

/** What a new volume is to be. */
export interface CreateVolumeOptions extends CallOptions {
  /** Enforced, or the create is refused. Default: as much as the disk has, or as the source has. */
  readonly sizeBytes?: number
  readonly labels?: Readonly<Record<string, string>>
  /** A volume whose content it gets: as it is at one moment where that has a size, else file by file. */
  readonly source?: string
  /** It can only be read: with a source, a snapshot of it. Default false. */
  readonly readOnly?: boolean
}

/** The volumes of the project. */
export class Volumes {
  readonly #rpc: Rpc

  /** @internal */
  constructor(rpc: Rpc) {
    this.#rpc = rpc
  }

  /** Makes an empty one, or one with what another holds. */
  async create(name: string, options: CreateVolumeOptions = {}): Promise<VolumeInfo> {
    const { sizeBytes = 0, labels = {}, source = '', readOnly = false } = options
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
      throw new CoveError('invalid-argument', `sizeBytes ${sizeBytes} is not a whole number of bytes`, {
        field: 'sizeBytes',
      })
    }
    const request = { name, sizeBytes: BigInt(sizeBytes), labels: { ...labels }, source, readOnly }
    return volumeInfo((await this.#rpc.unary(VolumeService.method.createVolume, request, options)).volume)
  }

  /** By id or name. */
  async get(id: string, options: CallOptions = {}): Promise<VolumeInfo> {
    return volumeInfo((await this.#rpc.unary(VolumeService.method.getVolume, { id }, options)).volume)
  }

  /** By name. */
  async list(options: CallOptions = {}): Promise<VolumeInfo[]> {
    return (await this.#rpc.unary(VolumeService.method.listVolumes, {}, options)).volumes.map(volumeInfo)
  }

  /** Refused with `wrong-state` while a sandbox uses it. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#rpc.unary(VolumeService.method.deleteVolume, { id }, { ...options, idempotent: true })
  }
}

function volumeInfo(wire: WireVolume | undefined): VolumeInfo {
  if (wire === undefined) throw new CoveError('internal', 'the server answered without a volume')
  return {
    id: wire.id,
    project: wire.project,
    name: wire.name,
    ...(wire.sizeBytes === 0n ? {} : { sizeBytes: Number(wire.sizeBytes) }),
    enforced: wire.enforced,
    usedBytes: Number(wire.usedBytes),
    sandboxes: [...wire.sandboxes],
    createdAt: wire.createdAt === undefined ? new Date(0) : dateOf(wire.createdAt),
    labels: { ...wire.labels },
    readOnly: wire.readOnly,
    ...(wire.source === '' ? {} : { source: wire.source }),
  }
}
