import { setTimeout as pause } from 'node:timers/promises'
import type { Log } from '@cove/domain'
import { isNotFound, type Containerd } from '@cove/containerd-engine'

/** How a task ended: a code, or 128 and a signal; undefined when nobody can say any more. */
export type TaskStatus = number | undefined

const EXIT_TOPIC = '/tasks/exit'
const READY_TOPIC = '/cove/ready'
const FIRST_WAIT_MS = 20
const MAX_WAIT_MS = 1_000
const READY_MS = 10_000

/**
 * Learns of the ends of tasks: from containerd's events, and from its list of tasks whenever events may have been missed,
 * which is each time when the stream of events begins anew.
 */
export class TaskExits {
  readonly #containerd: Containerd
  readonly #log: Log
  readonly #onReady: () => Promise<void>
  readonly #watched = new Map<string, (status: TaskStatus) => void>()
  readonly #closing = new AbortController()
  #running: Promise<void> | undefined

  /** `onReady` is called whenever containerd has come (back). */
  constructor(containerd: Containerd, log: Log, onReady: () => Promise<void>) {
    this.#containerd = containerd
    this.#log = log
    this.#onReady = onReady
  }

  /** Resolves when nothing will be missed from now on. */
  async open(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#running ??= this.#run(resolve)
    await Promise.race([promise, pause(READY_MS, undefined, { ref: false })])
  }

  /** The end of a task that there is; settles once. */
  watch(task: string): Promise<TaskStatus> {
    const { promise, resolve } = Promise.withResolvers<TaskStatus>()
    this.#watched.set(task, resolve)
    return promise
  }

  /** A task that never started. */
  forget(task: string): void {
    this.#settle(task, undefined)
  }

  /** Asks containerd itself, for whoever has reason to believe that it has ended. */
  async look(task: string): Promise<void> {
    if (!this.#watched.has(task)) return
    try {
      const { state, exitStatus } = await this.#containerd.tasks.get(task)
      if (state === 'stopped') this.#settle(task, exitStatus)
    } catch (error) {
      // Its shim was killed: containerd has ended what was left, and nobody has read how it ended.
      if (isNotFound(error)) this.#settle(task, undefined)
    }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
  }

  async #run(onFirst: () => void): Promise<void> {
    let wait = FIRST_WAIT_MS
    while (!this.#closing.signal.aborted) {
      try {
        for await (const event of this.#events()) {
          if (event.kind === 'exit') await this.look(event.container)
          if (event.kind !== 'other') continue
          wait = FIRST_WAIT_MS
          await this.#reconcile()
          await this.#onReady()
          onFirst()
        }
      } catch (error) {
        if (this.#closing.signal.aborted) return
        this.#log.debug('the events of containerd broke off', { reason: String(error) })
      }
      await pause(wait, undefined, { signal: this.#closing.signal, ref: false }).catch(() => undefined)
      wait = Math.min(wait * 2, MAX_WAIT_MS)
    }
  }

  /** An event of our own tells that the stream has begun: containerd says nothing of that. */
  async *#events(): ReturnType<Containerd['events']['subscribe']> {
    const stop = new AbortController()
    const heard = new AbortController()
    const signal = AbortSignal.any([this.#closing.signal, stop.signal])
    const knock = async (): Promise<void> => {
      for (let wait = 1; !heard.signal.aborted && !signal.aborted; wait = Math.min(wait * 2, MAX_WAIT_MS)) {
        await this.#containerd.events.publish(READY_TOPIC, { signal }).catch(() => undefined)
        await pause(wait, undefined, { signal, ref: false }).catch(() => undefined)
      }
    }
    const knocking = knock()
    try {
      for await (const event of this.#containerd.events.subscribe([EXIT_TOPIC, READY_TOPIC], { signal })) {
        if (event.kind === 'other' && heard.signal.aborted) continue
        if (event.kind === 'other') heard.abort()
        yield event
      }
    } finally {
      stop.abort()
      await knocking
    }
  }

  async #reconcile(): Promise<void> {
    if (this.#watched.size === 0) return
    // Who is watched from here on is not judged by a list that is older.
    const watched = [...this.#watched.keys()]
    const tasks = new Map((await this.#containerd.tasks.list()).map((task) => [task.id, task]))
    for (const id of watched) {
      const task = tasks.get(id)
      if (task === undefined) await this.look(id)
      else if (task.state === 'stopped') this.#settle(id, task.exitStatus)
    }
  }

  #settle(task: string, status: TaskStatus): void {
    this.#watched.get(task)?.(status)
    this.#watched.delete(task)
  }
}
