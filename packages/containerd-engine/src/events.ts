import { fromBinary } from '@bufbuild/protobuf'
import type { Client } from '@connectrpc/connect'
import type { Call, Caller } from './caller.ts'
import { TaskExitSchema, TaskOOMSchema } from './gen/containerd/events/task_pb.ts'
import { Events as EventsService, type Envelope } from './gen/containerd/services/events_pb.ts'

export type ContainerdEvent =
  /** `status` is a code, or 128 and a signal. */
  | { readonly kind: 'exit'; readonly container: string; readonly pid: number; readonly status: number }
  | { readonly kind: 'oom'; readonly container: string }
  | { readonly kind: 'other'; readonly topic: string }

export class Events {
  readonly #caller: Caller
  readonly #client: Client<typeof EventsService>

  constructor(caller: Caller) {
    this.#caller = caller
    this.#client = caller.client(EventsService)
  }

  /**
   * What happens in this namespace under these topics, from some moment after the call on; when that is, only an event
   * tells. Ends with an error when containerd does.
   */
  async *subscribe(topics: readonly string[], call?: Call): AsyncIterable<ContainerdEvent> {
    const filters = topics.map((topic) => `namespace==${this.#caller.namespace},topic==${JSON.stringify(topic)}`)
    for await (const envelope of this.#caller.each(call, (options) => this.#client.subscribe({ filters }, options))) {
      const event = toEvent(envelope)
      if (event !== undefined) yield event
    }
  }

  /** An event of our own. */
  async publish(topic: string, call?: Call): Promise<void> {
    // Something must be in it, of a type that containerd knows.
    const event = { typeUrl: TaskOOMSchema.typeName, value: new Uint8Array() }
    await this.#caller.once(call, (options) => this.#client.publish({ topic, event }, options))
  }
}

/** Undefined for what cannot be read, and for the ends of what was started inside beside the first process. */
function toEvent({ topic, event }: Envelope): ContainerdEvent | undefined {
  try {
    const value = event?.value ?? new Uint8Array()
    if (topic === '/tasks/exit') {
      const { containerId, id, pid, exitStatus } = fromBinary(TaskExitSchema, value)
      return id === containerId ? { kind: 'exit', container: containerId, pid, status: exitStatus } : undefined
    }
    if (topic === '/tasks/oom') return { kind: 'oom', container: fromBinary(TaskOOMSchema, value).containerId }
    return { kind: 'other', topic }
  } catch {
    return undefined
  }
}
