import type { Client } from '@connectrpc/connect'
import { Caller, type Call } from './caller.ts'
import { Containers } from './containers.ts'
import { Content } from './content.ts'
import { Events } from './events.ts'
import { Diff } from './gen/containerd/services/diff_pb.ts'
import { Introspection } from './gen/containerd/services/introspection_pb.ts'
import { Namespaces } from './gen/containerd/services/namespaces_pb.ts'
import { Version } from './gen/containerd/services/version_pb.ts'
import { Leases } from './leases.ts'
import { fromMounts, type Mount } from './mount.ts'
import { Snapshots } from './snapshots.ts'
import { Tasks } from './tasks.ts'

export interface ContainerdOptions {
  /** Path of its socket, at most 107 bytes. */
  readonly address: string
  /** Everything but the list of namespaces is seen in this one only. */
  readonly namespace: string
  /** Default `overlayfs`. */
  readonly snapshotter?: string
}

export interface Layer {
  readonly mediaType: string
  readonly digest: string
  readonly bytes: number
}

export interface Plugin {
  readonly type: string
  readonly id: string
  /** Why it does not run; undefined when it does. */
  readonly problem?: string
}

const APPLY_MS = 15 * 60_000

/**
 * A small client of containerd's gRPC API (https://github.com/containerd/containerd/tree/main/api), versions 1.6 to 2.x.
 * It connects when it is first used, and again after containerd was restarted. Every failure is a `CoveError`:
 * `container-not-found` for whatever is not there (`isNotFound`), `already-exists`, `wrong-state`, `invalid-argument`,
 * `permission-denied`, `no-space`, `deadline-exceeded`, `driver-failed` for the rest (`isUnreachable` when nobody
 * answers), `cancelled` when the signal aborts.
 */
export class Containerd implements Disposable {
  readonly address: string
  readonly namespace: string
  readonly containers: Containers
  readonly content: Content
  readonly events: Events
  readonly leases: Leases
  readonly snapshots: Snapshots
  readonly tasks: Tasks
  readonly #caller: Caller
  readonly #diff: Client<typeof Diff>
  readonly #introspection: Client<typeof Introspection>
  readonly #namespaces: Client<typeof Namespaces>
  readonly #version: Client<typeof Version>

  constructor({ address, namespace, snapshotter = 'overlayfs' }: ContainerdOptions) {
    this.address = address
    this.namespace = namespace
    this.#caller = new Caller(address, namespace)
    this.containers = new Containers(this.#caller)
    this.content = new Content(this.#caller)
    this.events = new Events(this.#caller)
    this.leases = new Leases(this.#caller)
    this.snapshots = new Snapshots(this.#caller, snapshotter)
    this.tasks = new Tasks(this.#caller)
    this.#diff = this.#caller.client(Diff)
    this.#introspection = this.#caller.client(Introspection)
    this.#namespaces = this.#caller.client(Namespaces)
    this.#version = this.#caller.client(Version)
  }

  /** As in `1.6.20`. */
  async version(call?: Call): Promise<string> {
    return (await this.#caller.once(call, (options) => this.#version.version({}, options))).version
  }

  async plugins(call?: Call): Promise<readonly Plugin[]> {
    const { plugins } = await this.#caller.once(call, (options) => this.#introspection.plugins({}, options))
    return plugins.map(({ type, id, initErr }) => ({
      type,
      id,
      ...(initErr === undefined ? {} : { problem: initErr.message }),
    }))
  }

  async listNamespaces(call?: Call): Promise<readonly string[]> {
    const { namespaces } = await this.#caller.once(call, (options) => this.#namespaces.list({}, options))
    return namespaces.map(({ name }) => name)
  }

  async createNamespace(name: string, labels: Readonly<Record<string, string>>, call?: Call): Promise<void> {
    await this.#caller.once(call, (options) => this.#namespaces.create({ namespace: { name, labels } }, options))
  }

  /** `wrong-state` while anything is in it. */
  async deleteNamespace(name: string, call?: Call): Promise<void> {
    await this.#caller.once(call, (options) => this.#namespaces.delete({ name }, options))
  }

  /** Unpacks a layer that is in the content store over these mounts; the digest of its tar archive. */
  async applyLayer(layer: Layer, mounts: readonly Mount[], call?: Call): Promise<string> {
    const diff = { mediaType: layer.mediaType, digest: layer.digest, size: BigInt(layer.bytes) }
    const timed = { timeoutMs: APPLY_MS, ...call }
    const { applied } = await this.#caller.once(timed, (options) =>
      this.#diff.apply({ diff, mounts: fromMounts(mounts) }, options),
    )
    return applied?.digest ?? ''
  }

  /** Calls that are under way fail. */
  close(): void {
    this.#caller.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
