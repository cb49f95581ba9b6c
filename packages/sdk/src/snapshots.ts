import { fromJson, type JsonValue } from '@bufbuild/protobuf'
import { SnapshotKind as WireKind, SnapshotSchema, SnapshotService, type Snapshot as WireSnapshot } from '@cove/api'
import { CoveError } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import { dateOf } from './convert/time.ts'
import { parseJson } from './wire/errors.ts'
import type { HttpBody, HttpRequest } from './wire/http.ts'
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
  /** Of a `memory` snapshot: what it was saved with and needs again, such as a version. */
  readonly details: Readonly<Record<string, string>>
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

/** An image as one archive: an OCI layout, or what `docker load` takes. */
export type ArchiveFormat = 'oci' | 'docker'

/** A snapshot of files as it is sent. */
export interface SnapshotArchive {
  /** `host`: only what was written over the programs of a host; to be imported by Cove, and of no use without it. */
  readonly base: 'scratch' | 'host'
  /** One tar archive of any size, in constant memory. One that breaks off fails with `connection-lost`. */
  readonly content: AsyncIterable<Uint8Array>
}

const MAX_ANSWER_BYTES = 1024 * 1024

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

  /** A snapshot of files with everything that is below it, as an image for others. Default format `oci`. */
  async export(id: string, options: CallOptions & { readonly format?: ArchiveFormat } = {}): Promise<SnapshotArchive> {
    const path = `/v1/snapshots/${encodeURIComponent(id)}/archive?format=${options.format ?? 'oci'}`
    const response = await this.#rpc.retrying(true, options, (signal) =>
      this.#rpc.exchange({ method: 'GET', path, headers: {}, ...(signal === undefined ? {} : { signal }) }),
    )
    const base = response.header('cove-image-base') === 'host' ? 'host' : 'scratch'
    return { base, content: response.body }
  }

  /** A snapshot of what was exported, or of any image, as an archive in either format. */
  async import(archive: HttpBody, options: CallOptions & { readonly name?: string } = {}): Promise<SnapshotInfo> {
    const query = options.name === undefined ? '' : `?name=${encodeURIComponent(options.name)}`
    return await this.#rpc.retrying(false, options, async (signal) => {
      const headers = { 'content-type': 'application/x-tar' }
      const call: HttpRequest = { method: 'POST', path: `/v1/snapshots${query}`, headers, body: archive }
      const response = await this.#rpc.exchange(signal === undefined ? call : { ...call, signal })
      const json = parseJson(new TextDecoder().decode(await response.bytes(MAX_ANSWER_BYTES)))
      return snapshotInfo(fromJson(SnapshotSchema, json as JsonValue, { ignoreUnknownFields: true }))
    })
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
    details: { ...wire.details },
  }
}
