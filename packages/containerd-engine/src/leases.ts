import type { Client } from '@connectrpc/connect'
import type { Call, Caller } from './caller.ts'
import { Leases as LeasesService } from './gen/containerd/services/leases_pb.ts'

export interface Lease {
  readonly id: string
  readonly labels: Readonly<Record<string, string>>
}

/** Removing what a lease has held may mean removing whole file systems. */
const DELETE_MS = 120_000

/** What a lease holds is not collected. */
export class Leases {
  readonly #caller: Caller
  readonly #client: Client<typeof LeasesService>

  constructor(caller: Caller) {
    this.#caller = caller
    this.#client = caller.client(LeasesService)
  }

  async create(id: string, labels: Readonly<Record<string, string>>, call?: Call): Promise<void> {
    await this.#caller.once(call, (options) => this.#client.create({ id, labels }, options))
  }

  /** With `sync` what nobody else holds is gone when it answers. */
  async delete(id: string, { sync }: { readonly sync: boolean }, call?: Call): Promise<void> {
    const timed = { timeoutMs: DELETE_MS, ...call }
    await this.#caller.once(timed, (options) => this.#client.delete({ id, sync }, options))
  }

  async list(filters: readonly string[] = [], call?: Call): Promise<readonly Lease[]> {
    const request = { filters: [...filters] }
    const { leases } = await this.#caller.once(call, (options) => this.#client.list(request, options))
    return leases.map(({ id, labels }) => ({ id, labels }))
  }

  /** `type` is `content`, or `snapshots/<snapshotter>`. What a snapshot builds on is held with it. */
  async hold(id: string, resource: { readonly type: string; readonly id: string }, call?: Call): Promise<void> {
    await this.#caller.once(call, (options) => this.#client.addResource({ id, resource }, options))
  }
}
