import type { Client } from '@connectrpc/connect'
import type { Call, Caller } from './caller.ts'
import { runtimeOptions } from './containers.ts'
import { Tasks as TasksService } from './gen/containerd/services/tasks_pb.ts'
import { Status, type Process } from './gen/containerd/types/task_pb.ts'
import { fromMounts, type Mount } from './mount.ts'

/** What runs in a container. */
export interface Task {
  /** The container's. */
  readonly id: string
  /** Of its first process, on containerd's host; 0 when it is not known. */
  readonly pid: number
  readonly state: 'created' | 'running' | 'paused' | 'stopped' | 'unknown'
  /** Of one that has stopped: a code, or 128 and a signal. */
  readonly exitStatus: number
}

/** A shim and a runtime are started one after the other. */
const CREATE_MS = 60_000

export class Tasks {
  readonly #caller: Caller
  readonly #client: Client<typeof TasksService>

  constructor(caller: Caller) {
    this.#caller = caller
    this.#client = caller.client(TasksService)
  }

  /** Makes the container's first process, which waits for `start`. Without standard streams. */
  async create(
    id: string,
    { rootfs, runtimeProgram }: { readonly rootfs: readonly Mount[]; readonly runtimeProgram?: string | undefined },
    call?: Call,
  ): Promise<number> {
    const request = { containerId: id, rootfs: fromMounts(rootfs), options: runtimeOptions(runtimeProgram) }
    const timed = { timeoutMs: CREATE_MS, ...call }
    return (await this.#caller.once(timed, (options) => this.#client.create(request, options))).pid
  }

  async start(id: string, call?: Call): Promise<number> {
    return (await this.#caller.once(call, (options) => this.#client.start({ containerId: id }, options))).pid
  }

  async kill(id: string, signal: number, { all = false }: { readonly all?: boolean } = {}, call?: Call): Promise<void> {
    await this.#caller.once(call, (options) => this.#client.kill({ containerId: id, signal, all }, options))
  }

  /** Removes one that has stopped, its shim and its mounts. `wrong-state` while it runs. */
  async delete(id: string, call?: Call): Promise<void> {
    await this.#caller.once(call, (options) => this.#client.delete({ containerId: id }, options))
  }

  async get(id: string, call?: Call): Promise<Task> {
    const { process } = await this.#caller.once(call, (options) => this.#client.get({ containerId: id }, options))
    return toTask(id, process)
  }

  async list(call?: Call): Promise<readonly Task[]> {
    const { tasks } = await this.#caller.once(call, (options) => this.#client.list({}, options))
    // An older containerd tells the container's id in the field of the process.
    return tasks.map((process) => toTask(process.containerId === '' ? process.id : process.containerId, process))
  }

  /** Resolves with the exit status when it has stopped; at once for one that has. */
  async wait(id: string, call?: Call): Promise<number> {
    const timed = { timeoutMs: 0, ...call }
    return (await this.#caller.once(timed, (options) => this.#client.wait({ containerId: id }, options))).exitStatus
  }
}

const STATES: Readonly<Record<number, Task['state']>> = {
  [Status.CREATED]: 'created',
  [Status.RUNNING]: 'running',
  [Status.STOPPED]: 'stopped',
  [Status.PAUSED]: 'paused',
  [Status.PAUSING]: 'paused',
}

function toTask(id: string, process: Process | undefined): Task {
  const { pid = 0, status = Status.UNKNOWN, exitStatus = 0 } = process ?? {}
  return { id, pid, state: STATES[status] ?? 'unknown', exitStatus }
}
