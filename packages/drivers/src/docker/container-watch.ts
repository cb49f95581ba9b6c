import { setTimeout as delay } from 'node:timers/promises'
import type { Container, DockerEngine } from '@cove/docker-engine'
import { CoveError, type Log } from '@cove/domain'
import type { Names } from './names.ts'

type WatchedEngine = Pick<DockerEngine, 'listContainers' | 'inspectContainer' | 'labelledEvents'>

/** How a run of a container ended, as far as the engine told it. */
export interface Ended {
  /** As it was found after its end; undefined when it is gone. */
  readonly container: Container | undefined
  readonly exitCode: number | undefined
}

interface Followed {
  readonly startedAt: string
  readonly end: (ended: Ended) => void
}

const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 5_000
/** A stream can break without a word, so everything is looked at now and then all the same. */
const LOOK_MS = 60_000
/** The engine tells again what happened shortly before it was asked. */
const BACK_SECONDS = 30

/** Learns of the ends of an installation's containers by one stream of events, whatever becomes of the stream. */
export class ContainerWatch implements AsyncDisposable {
  readonly #engine: WatchedEngine
  readonly #names: Names
  readonly #log: Log
  readonly #lookMs: number
  readonly #followed = new Map<string, Followed>()
  readonly #closing = new AbortController()
  #watching: Promise<unknown> | undefined

  constructor(engine: WatchedEngine, names: Names, log: Log, lookMs = LOOK_MS) {
    this.#lookMs = lookMs
    this.#engine = engine
    this.#names = names
    this.#log = log
  }

  /** Settles once this run of the container has ended. Never rejects; stays open when the watch is closed. */
  follow({ id, startedAt }: Pick<Container, 'id' | 'startedAt'>): Promise<Ended> {
    this.#watching ??= Promise.all([this.#watch(), this.#lookNowAndThen()])
    return new Promise((end) => this.#followed.set(id, { startedAt, end }))
  }

  /** Looks at one container now. An engine that does not answer changes nothing. */
  async look(id: string, exitCode?: number): Promise<void> {
    const followed = this.#followed.get(id)
    if (followed === undefined) return
    let container: Container | undefined
    try {
      container = await this.#engine.inspectContainer(id, this.#patience())
    } catch (error) {
      if (CoveError.from(error).code !== 'container-not-found') return
    }
    if (container !== undefined && container.startedAt === followed.startedAt && isAlive(container)) return
    if (this.#followed.get(id) !== followed) return
    this.#followed.delete(id)
    const same = container?.startedAt === followed.startedAt ? container : undefined
    followed.end({ container: same, exitCode: same?.exitCode ?? exitCode })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#followed.clear()
    this.#closing.abort()
    await this.#watching
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing
    let wait = FIRST_WAIT_MS
    while (!signal.aborted) {
      try {
        const options = { actions: ['die', 'destroy'], sinceSeconds: Math.floor(Date.now() / 1000) - BACK_SECONDS }
        const events = this.#engine.labelledEvents(this.#names.labels('machine'), options, signal)
        const looking = this.#lookAtAll()
        for await (const { container, attributes } of events) {
          wait = FIRST_WAIT_MS
          const code = Number(attributes['exitCode'])
          await this.look(container, Number.isInteger(code) && attributes['exitCode'] !== '' ? code : undefined)
        }
        await looking
      } catch (error) {
        if (signal.aborted) return
        this.#log.debug('the events of the Docker Engine broke off', { message: CoveError.from(error).message })
      }
      await delay(wait, undefined, { signal, ref: false }).catch(() => undefined)
      wait = Math.min(wait * 2, LONGEST_WAIT_MS)
    }
  }

  async #lookNowAndThen(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      await delay(this.#lookMs, undefined, { signal, ref: false }).catch(() => undefined)
      if (!signal.aborted) await this.#lookAtAll()
    }
  }

  /** A connection that is dead without a word answers nothing, and must not be the last that was asked. */
  #patience(): AbortSignal {
    return AbortSignal.any([this.#closing.signal, AbortSignal.timeout(this.#lookMs)])
  }

  async #lookAtAll(): Promise<void> {
    try {
      const all = await this.#engine.listContainers(this.#names.labels('machine'), this.#patience())
      const alive = new Set(all.filter(({ state }) => ALIVE.has(state)).map(({ id }) => id))
      for (const id of this.#followed.keys()) if (!alive.has(id)) await this.look(id)
    } catch {
      // The engine does not answer; the watch comes back.
    }
  }
}

const ALIVE: ReadonlySet<string> = new Set(['running', 'paused', 'restarting'])

export const isAlive = ({ state }: Pick<Container, 'state'>): boolean => ALIVE.has(state)
