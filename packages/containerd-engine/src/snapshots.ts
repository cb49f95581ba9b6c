import type { Client } from '@connectrpc/connect'
import type { Call, Caller } from './caller.ts'
import { Kind, Snapshots as SnapshotsService, type Info } from './gen/containerd/services/snapshots_pb.ts'
import { toMounts, type Mount } from './mount.ts'

export interface Snapshot {
  readonly key: string
  readonly parent: string
  readonly kind: 'active' | 'committed' | 'view' | 'unknown'
  readonly labels: Readonly<Record<string, string>>
}

/** File systems of one snapshotter: what is written over a parent, and what has been committed for others to build on. */
export class Snapshots {
  readonly snapshotter: string
  readonly #caller: Caller
  readonly #client: Client<typeof SnapshotsService>

  constructor(caller: Caller, snapshotter: string) {
    this.#caller = caller
    this.snapshotter = snapshotter
    this.#client = caller.client(SnapshotsService)
  }

  /** A new active one over `parent`, or over nothing when that is empty; how it is mounted. */
  async prepare(
    key: string,
    parent: string,
    labels: Readonly<Record<string, string>>,
    call?: Call,
  ): Promise<readonly Mount[]> {
    const request = { snapshotter: this.snapshotter, key, parent, labels }
    return toMounts((await this.#caller.once(call, (options) => this.#client.prepare(request, options))).mounts)
  }

  /** How an active one is mounted. */
  async mounts(key: string, call?: Call): Promise<readonly Mount[]> {
    const request = { snapshotter: this.snapshotter, key }
    return toMounts((await this.#caller.once(call, (options) => this.#client.mounts(request, options))).mounts)
  }

  /** The active one `key` becomes the committed one `name`. */
  async commit(name: string, key: string, labels: Readonly<Record<string, string>>, call?: Call): Promise<void> {
    await this.#caller.once(call, (options) =>
      this.#client.commit({ snapshotter: this.snapshotter, name, key, labels }, options),
    )
  }

  /** `wrong-state` while others build on it. */
  async remove(key: string, call?: Call): Promise<void> {
    await this.#caller.once(call, (options) => this.#client.remove({ snapshotter: this.snapshotter, key }, options))
  }

  async stat(key: string, call?: Call): Promise<Snapshot> {
    const request = { snapshotter: this.snapshotter, key }
    const { info } = await this.#caller.once(call, (options) => this.#client.stat(request, options))
    return toSnapshot(info)
  }

  /** Those that one of the filters fits; all without filters. */
  async list(filters: readonly string[] = [], call?: Call): Promise<readonly Snapshot[]> {
    const request = { snapshotter: this.snapshotter, filters: [...filters] }
    const found: Snapshot[] = []
    for await (const { info } of this.#caller.each(call, (options) => this.#client.list(request, options))) {
      found.push(...info.map(toSnapshot))
    }
    return found
  }

  /** Bytes that it holds itself, its parents not counted. containerd walks through all of its files. */
  async usage(key: string, call?: Call): Promise<number> {
    const request = { snapshotter: this.snapshotter, key }
    return Number((await this.#caller.once(call, (options) => this.#client.usage(request, options))).size)
  }
}

function toSnapshot(info: Info | undefined): Snapshot {
  const { name = '', parent = '', kind = Kind.UNKNOWN, labels = {} } = info ?? {}
  return { key: name, parent, kind: KINDS[kind] ?? 'unknown', labels }
}

const KINDS: Readonly<Record<number, Snapshot['kind']>> = {
  [Kind.ACTIVE]: 'active',
  [Kind.COMMITTED]: 'committed',
  [Kind.VIEW]: 'view',
}
