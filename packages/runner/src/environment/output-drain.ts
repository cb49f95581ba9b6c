import { setTimeout as delay } from 'node:timers/promises'
import { setImmediate } from 'node:timers/promises'
import type { Line } from './line.ts'
import type { OutputSource } from './launched-proc.ts'
import type { OutputFanOut } from './output-fan-out.ts'

/** How long output is waited for that something else than the process keeps open. */
const LINGER_MS = 250
/** What may be on its way when a process ends: as much as the largest pipe holds. */
const MOST_ON_ITS_WAY = 1024 * 1024

/** Carries one stream into the fan-out, and knows when what the process itself wrote has all come through. */
export class OutputDrain {
  readonly #stream: Line['stream']
  readonly #fanOut: OutputFanOut
  readonly #ended = Promise.withResolvers<void>()
  #seen = 0
  #waiting: Promise<void> | undefined
  #closed = false

  constructor(stream: Line['stream'], source: OutputSource, fanOut: OutputFanOut) {
    this.#stream = stream
    this.#fanOut = fanOut
    source.forward(
      (chunk) => this.#take(chunk),
      () => this.#ended.resolve(),
    )
  }

  /**
   * The process has ended: resolves when its output has been delivered. What it has left running may hold the stream open
   * for ever: then a short time is waited, and what comes later is read and thrown away, so that nothing blocks on it.
   */
  async finish(): Promise<void> {
    const timer = new AbortController()
    const before = this.#seen
    const lingered = delay(LINGER_MS, false, { signal: timer.signal }).catch(() => false)
    const ended = await Promise.race([this.#ended.promise.then(() => true), lingered])
    timer.abort()
    if (!ended) await this.#settled(before)
    this.#closed = true
    await this.#waiting
    await this.#fanOut.end(this.#stream)
  }

  /** Until nothing comes any more, or so much has come that it is no longer the process's. */
  async #settled(before: number): Promise<void> {
    for (let quiet = 0; quiet < 3 && this.#seen - before < MOST_ON_ITS_WAY;) {
      const seen = this.#seen
      await this.#waiting
      await setImmediate()
      quiet = this.#seen === seen && this.#waiting === undefined ? quiet + 1 : 0
    }
  }

  #take(chunk: Buffer): Promise<void> | undefined {
    if (this.#closed) return undefined
    this.#seen += chunk.length
    const delivered = this.#fanOut.write(this.#stream, chunk)
    if (delivered === undefined) return undefined
    const waiting = delivered.finally(() => {
      if (this.#waiting === waiting) this.#waiting = undefined
    })
    this.#waiting = waiting
    return waiting
  }
}
