import { SnapshotKind as WireKind, SnapshotService, type Snapshot as WireSnapshot } from '@cove/api'
import { CoveError } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import { dateOf } from './convert/time.ts'
import type { Rpc } from './wire/rpc.ts'

/** What is saved: the files alone, or memory and processes too. */
export type SnapshotKind = 'filesystem' | 'memory'

/** A saved state of a sandbox, from which any number can be made. */
export interface SnapshotInfo {
  readonly id: string
  readonly project: string
  /** Unique among the snapshots of the project; absent when none was given. */
  readonly name?: string
  readonly kind: SnapshotKind
  /** The sandbox that it was made of; absent for one that was imported. */
  readonly sandbox?: string
  readonly template: string
  /** Where a `memory` snapshot can be woken; absent for files, which every driver can take. */
  readonly driver?: string
  /** Digest of the image that a `filesystem` snapshot is. */
  readonly image?: string
  /** What it takes beside what it shares with others. */
  readonly bytes: number
  readonly createdAt: Date
  readonly labels: Readonly<Record<string, string>>
}

/** What is saved, and how it is found again. */
export interface SnapshotOptions extends CallOptions {
  /** Default `filesystem`. */
  readonly kind?: SnapshotKind
  /** Unique among the snapshots of the project. */
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
}

/** Saved states of sandboxes; they outlive the sandboxes that they were made of. */
export class Snapshots {
  readonly #rpc: Rpc

  /** @internal */
  constructor(rpc: Rpc) {
    this.#rpc = rpc
  }

  /** Saves a running sandbox, by id or name, which goes on afterwards. */
  async create(sandbox: string, options: SnapshotOptions = {}): Promise<SnapshotInfo> {
    const { kind = 'filesystem', name = '', labels = {} } = options
    const request = { sandbox, name, labels: { ...labels }, kind: kindNumber(kind) }
    const answer = await this.#rpc.unary(SnapshotService.method.createSnapshot, request, options)
    return snapshotInfo(answer.snapshot)
  }

  /** By id or name. */
  async get(id: string, options: CallOptions = {}): Promise<SnapshotInfo> {
    return snapshotInfo((await this.#rpc.unary(SnapshotService.method.getSnapshot, { id }, options)).snapshot)
  }

  /** Newest first; only those of one sandbox when it is named. */
  async list(options: CallOptions & { readonly sandbox?: string } = {}): Promise<SnapshotInfo[]> {
    const { sandbox = '' } = options
    const answer = await this.#rpc.unary(SnapshotService.method.listSnapshots, { sandbox }, options)
    return answer.snapshots.map(snapshotInfo)
  }

  /** Sandboxes that were made of it go on. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#rpc.unary(SnapshotService.method.deleteSnapshot, { id }, { ...options, idempotent: true })
  }
}

/** @internal */
export const kindNumber = (kind: SnapshotKind | undefined): WireKind =>
  kind === undefined ? WireKind.UNSPECIFIED : kind === 'memory' ? WireKind.MEMORY : WireKind.FILESYSTEM

/** @internal */
export const kindOf = (kind: WireKind): SnapshotKind => (kind === WireKind.MEMORY ? 'memory' : 'filesystem')

function snapshotInfo(wire: WireSnapshot | undefined): SnapshotInfo {
  if (wire === undefined) throw new CoveError('internal', 'the server answered without a snapshot')
  return {
    id: wire.id,
    project: wire.project,
    ...(wire.name === '' ? {} : { name: wire.name }),
    kind: kindOf(wire.kind),
    ...(wire.sandbox === '' ? {} : { sandbox: wire.sandbox }),
    template: wire.template,
    ...(wire.driver === '' ? {} : { driver: wire.driver }),
    ...(wire.image === '' ? {} : { image: wire.image }),
    bytes: Number(wire.bytes),
    createdAt: wire.createdAt === undefined ? new Date(0) : dateOf(wire.createdAt),
    labels: { ...wire.labels },
  }
}
