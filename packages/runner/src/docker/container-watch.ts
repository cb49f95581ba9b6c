import { setTimeout as delay } from 'node:timers/promises'
import type { DockerEngine, EngineEvent } from '@cove/docker-engine'

const ACTIONS = ['exec_die', 'oom', 'die', 'destroy']
const AGAIN_MS = 100
const LONGEST_AGAIN_MS = 5000

/** Listens to what happens to one container, so that nobody has to ask again and again. */
export class ContainerWatch implements Disposable {
  readonly #engine: DockerEngine
  readonly #container: string
  readonly #closing = new AbortController()
  readonly #ended = new Map<string, PromiseWithResolvers<void>>()
  #memoryDeaths = 0
  #broken = Promise.withResolvers<void>()

  constructor(engine: DockerEngine, container: string) {
    this.#engine = engine
    this.#container = container
    void this.#listen()
  }

  /** How often the kernel has killed something in it for want of memory. */
  get memoryDeaths(): number {
    return this.#memoryDeaths
  }

  /**
   * Resolves when the engine has said that this exec has ended; earlier when it is worth while to ask it, for the
   * container has ended or the engine has gone. Call before the exec is started.
   */
  async untilEnded(exec: string): Promise<void> {
    const known = this.#ended.get(exec) ?? Promise.withResolvers<void>()
    this.#ended.set(exec, known)
    await Promise.race([known.promise, this.#broken.promise])
  }

  forget(exec: string): void {
    this.#ended.delete(exec)
  }

  [Symbol.dispose](): void {
    this.#closing.abort()
    this.#wakeAll()
  }

  async #listen(): Promise<void> {
    const { signal } = this.#closing
    let newest = 0
    let again = AGAIN_MS
    while (!signal.aborted) {
      // What has been told before is told again by a new connection, for it begins with a whole second.
      const known = newest
      try {
        const since = newest === 0 ? {} : { sinceSeconds: Math.floor(newest / 1000) }
        const events = this.#engine.containerEvents(this.#container, { actions: ACTIONS, ...since }, signal)
        for await (const event of events) {
          if (event.at <= known) continue
          newest = Math.max(newest, event.at)
          again = AGAIN_MS
          this.#take(event)
        }
      } catch {
        // Whoever waits asks the engine, and so learns what has become of it.
      }
      this.#wakeAll()
      await delay(again, undefined, { signal }).catch(() => {})
      again = Math.min(again * 2, LONGEST_AGAIN_MS)
    }
  }

  #take({ action, attributes }: EngineEvent): void {
    if (action === 'oom') this.#memoryDeaths += 1
    else if (action === 'exec_die') this.#ended.get(attributes['execID'] ?? '')?.resolve()
    else this.#wakeAll()
  }

  #wakeAll(): void {
    this.#broken.resolve()
    this.#broken = Promise.withResolvers<void>()
  }
}
