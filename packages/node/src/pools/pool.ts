import { CoveError, satisfies, type Clock, type Log, type PoolReport, type PoolSpec } from '@cove/domain'
import type { Leftover } from '../leftovers.ts'
import type { WarmMachine } from './warm-machine.ts'

/** Makes one machine for a pool, up to the first answer of its guest. */
export type MakeWarm = (spec: PoolSpec, signal: AbortSignal) => Promise<WarmMachine>

export interface PoolParts {
  readonly make: MakeWarm
  /** Takes away what nobody will use. */
  readonly discard: (leftover: Leftover) => void
  readonly clock: Clock
  readonly log: Log
}

/** Machines that are made at once: what is asked for now goes first. */
const AT_ONCE = 2
const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 60_000
/** A create, and the first command in what it has made. */
const LULL_MS = 200
/** How long a pool that was emptied holds more than its minimum ready. */
const BUSY_MS = 60_000

/** The machines of one pool: kept at `min`, and nearer to `max` for a while when many are taken. */
export class Pool {
  readonly spec: PoolSpec
  readonly #parts: PoolParts
  /** What the newest machine satisfies; known once one has been made. */
  #key: string | undefined
  readonly #ready: WarmMachine[] = []
  readonly #closing = new AbortController()
  readonly #filling = new Set<Promise<void>>()
  #wake = new AbortController()
  #asked = 0
  #served = 0
  #broken = 0
  #takenAt = 0
  #taken = 0
  #problem: string | undefined

  constructor(spec: PoolSpec, parts: PoolParts) {
    this.spec = spec
    this.#parts = parts
  }

  /** Runs until the pool is closed. */
  async fill(): Promise<void> {
    const { signal } = this.#closing
    let pause = FIRST_PAUSE_MS
    while (!signal.aborted) {
      this.#wake = new AbortController()
      // One at a time while it fails: what is wrong is most likely wrong for all.
      const atOnce = this.#problem === undefined ? AT_ONCE : 1
      while (this.#filling.size < atOnce && this.#ready.length + this.#filling.size < this.#wanted()) this.#makeOne()
      await Promise.race([...this.#filling, this.#sleep(BUSY_MS)])
      if (this.#problem === undefined) pause = FIRST_PAUSE_MS
      else {
        await this.#sleep(pause)
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
      }
    }
    await Promise.all(this.#filling)
  }

  /** One that satisfies this and runs, or none. It is the caller's from now on. */
  take(key: string): WarmMachine | undefined {
    if (this.#key !== key) return undefined
    this.#asked++
    this.#takenAt = this.#parts.clock.monotonic()
    this.#taken++
    const warm = this.#ready.shift()
    if (warm !== undefined) this.#served++
    if (warm !== undefined && satisfies(warm.driver.isolation, 'microvm')) void this.#wakeLater()
    else this.#wake.abort()
    return warm
  }

  /** Whoever has just taken a machine is waiting for its first answer: booting the next one takes processors from that. */
  async #wakeLater(): Promise<void> {
    await this.#parts.clock.sleep(LULL_MS, this.#closing.signal).catch(() => {})
    this.#wake.abort()
  }

  /** What was taken turned out not to answer: it was no help. */
  spoiled(): void {
    this.#served--
    this.#broken++
  }

  report(): PoolReport {
    const driver = this.#ready[0]?.driver.name
    return {
      spec: this.spec,
      ...(driver === undefined ? {} : { driver }),
      ready: this.#ready.length,
      making: this.#filling.size,
      asked: this.#asked,
      served: this.#served,
      broken: this.#broken,
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    }
  }

  /** Ends what is being made and takes away what is ready. */
  async close(): Promise<void> {
    this.#closing.abort(new CoveError('cancelled', 'the pool is closed'))
    for (const warm of this.#ready.splice(0)) this.#discard(warm)
    await Promise.all(this.#filling)
  }

  /** As many more as were taken lately, so that a burst finds the next ones sooner. */
  #wanted(): number {
    const { min, max } = this.spec
    if (this.#parts.clock.monotonic() - this.#takenAt > BUSY_MS) this.#taken = 0
    return Math.min(max, min + this.#taken)
  }

  /** Also ends when a machine is ready, or taken. */
  async #sleep(ms: number): Promise<void> {
    const ends = AbortSignal.any([this.#closing.signal, this.#wake.signal])
    await this.#parts.clock.sleep(ms, ends).catch(() => {})
  }

  #makeOne(): void {
    const making: Promise<void> = this.#make(() => this.#filling.delete(making))
    this.#filling.add(making)
  }

  async #make(done: () => void): Promise<void> {
    const made = await this.#tryToMake()
    done()
    // After a failure the next try has to wait.
    if (made) this.#wake.abort()
  }

  async #tryToMake(): Promise<boolean> {
    const { signal } = this.#closing
    try {
      const warm = await this.#parts.make(this.spec, signal)
      if (signal.aborted) {
        this.#discard(warm)
        return false
      }
      this.#problem = undefined
      this.#supersede(warm.key)
      this.#ready.push(warm)
      void this.#watch(warm)
      return true
    } catch (error) {
      if (signal.aborted) return false
      const { code, message } = CoveError.from(error)
      this.#problem = message
      this.#parts.log.warn('a pool cannot be filled', { pool: this.spec.name, code, error: message })
      return false
    }
  }

  /** What the pool asks for has come to mean something else: nobody will ask for what it meant before. */
  #supersede(key: string): void {
    this.#key = key
    const old = this.#ready.filter((warm) => warm.key !== key)
    for (const warm of old) {
      this.#ready.splice(this.#ready.indexOf(warm), 1)
      this.#discard(warm)
    }
  }

  /** One that ends before anybody takes it is replaced. */
  async #watch(warm: WarmMachine): Promise<void> {
    await warm.machine.exited
    const at = this.#ready.indexOf(warm)
    if (at < 0) return
    this.#ready.splice(at, 1)
    this.#broken++
    this.#discard(warm)
    this.#wake.abort()
  }

  #discard({ driver, machine, disk, session, ground }: WarmMachine): void {
    ground[Symbol.dispose]()
    session.end(new CoveError('cancelled', 'the machine was not needed'))
    this.#parts.discard({ driver, machine: machine.id, ...(disk === undefined ? {} : { disk }) })
  }
}
