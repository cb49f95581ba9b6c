import { create, toBinary } from '@bufbuild/protobuf'
import type { Client } from '@connectrpc/connect'
import type { Call, Caller } from './caller.ts'
import { OptionsSchema } from './gen/containerd/runc/options_pb.ts'
import {
  Containers as ContainersService,
  type Container as WireContainer,
} from './gen/containerd/services/containers_pb.ts'

/** What containerd keeps of a container, whether it runs or not. */
export interface Container {
  readonly id: string
  readonly labels: Readonly<Record<string, string>>
  readonly image: string
  readonly snapshotKey: string
}

export interface ContainerSpec extends Container {
  readonly snapshotter: string
  /** For example `io.containerd.runc.v2`. */
  readonly runtime: string
  /** Program of the runtime, absolute. Default: containerd finds it. */
  readonly runtimeProgram?: string | undefined
  /** An OCI runtime configuration. */
  readonly oci: unknown
}

const SPEC_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/Spec'

export class Containers {
  readonly #caller: Caller
  readonly #client: Client<typeof ContainersService>

  constructor(caller: Caller) {
    this.#caller = caller
    this.#client = caller.client(ContainersService)
  }

  async create(spec: ContainerSpec, call?: Call): Promise<void> {
    const { id, labels, image, snapshotter, snapshotKey, runtime, oci } = spec
    const container = {
      id,
      labels: { ...labels },
      image,
      snapshotter,
      snapshotKey,
      runtime: { name: runtime, options: runtimeOptions(spec.runtimeProgram) },
      spec: { typeUrl: SPEC_TYPE, value: Buffer.from(JSON.stringify(oci)) },
    }
    await this.#caller.once(call, (options) => this.#client.create({ container }, options))
  }

  async get(id: string, call?: Call): Promise<Container> {
    const { container } = await this.#caller.once(call, (options) => this.#client.get({ id }, options))
    return toContainer(container)
  }

  async list(filters: readonly string[] = [], call?: Call): Promise<readonly Container[]> {
    const found: Container[] = []
    const request = { filters: [...filters] }
    for await (const { container } of this.#caller.each(call, (options) => this.#client.listStream(request, options))) {
      found.push(toContainer(container))
    }
    return found
  }

  /** `wrong-state` while it has a task. */
  async delete(id: string, call?: Call): Promise<void> {
    await this.#caller.once(call, (options) => this.#client.delete({ id }, options))
  }
}

/** The options of the shim `runc.v2`, as the creation of a task wants them too. */
export function runtimeOptions(binaryName: string | undefined): { typeUrl: string; value: Uint8Array } {
  // No keyring of its own: each one counts against the kernel's small limit of keys for root.
  const options = create(OptionsSchema, { noNewKeyring: true, ...(binaryName === undefined ? {} : { binaryName }) })
  return { typeUrl: OptionsSchema.typeName, value: toBinary(OptionsSchema, options) }
}

function toContainer(container: WireContainer | undefined): Container {
  const { id = '', labels = {}, image = '', snapshotKey = '' } = container ?? {}
  return { id, labels, image, snapshotKey }
}
