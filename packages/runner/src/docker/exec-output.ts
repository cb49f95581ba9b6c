import { setTimeout as delay } from 'node:timers/promises'
import { Readable, Writable } from 'node:stream'
import { callbackify } from 'node:util'
import type { Attached } from '@cove/docker-engine'
import type { OutputSource } from '../environment/launched-proc.ts'

/** What is kept of both streams for readers that take their time, before the process is made to wait. */
const MOST_KEPT = 1024 * 1024
const ASK_MS = 250

/**
 * Both streams of a process, which come through one connection. When the process ends the engine waits 2 s for whoever
 * reads and then throws away what is left, about 1 MiB at most: so once it has ended everything is taken at once.
 */
export class ExecOutput {
  readonly stdout: Branch
  readonly stderr: Branch
  /** Resolves when the engine has sent everything, or has gone. */
  readonly ended: Promise<void>
  readonly #hasEnded: () => Promise<boolean>
  #isEnded = false

  constructor(attached: Attached, hasEnded: () => Promise<boolean>) {
    this.stdout = new Branch()
    this.stderr = new Branch()
    this.#hasEnded = hasEnded
    this.ended = this.#carry(attached)
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  /** Everything that is read as it comes has been taken; what is read as a stream stays there for its reader. */
  async delivered(): Promise<void> {
    await Promise.all([this.stdout.delivered, this.stderr.delivered])
  }

  async #carry(attached: Attached): Promise<void> {
    let isOver = false
    try {
      await Promise.all([this.stdout.claimed, this.stderr.claimed])
      for await (const { stream, data } of attached.output) {
        this[stream].push(data)
        while (!isOver && this.stdout.kept + this.stderr.kept > MOST_KEPT) isOver = await this.#wait()
      }
    } catch {
      // A stream that breaks has ended.
    } finally {
      this.#isEnded = true
      this.stdout.end()
      this.stderr.end()
    }
  }

  /** Until somebody has read; true when the process has ended in the meantime. */
  async #wait(): Promise<boolean> {
    const timer = new AbortController()
    const asking = delay(ASK_MS, true, { signal: timer.signal }).catch(() => false)
    const read = Promise.race([this.stdout.read(), this.stderr.read()]).then(() => false)
    const isTimeToAsk = await Promise.race([asking, read])
    timer.abort()
    return isTimeToAsk && (await this.#hasEnded())
  }
}

type Take = (chunk: Buffer) => Promise<void> | undefined

class Branch implements OutputSource {
  readonly claimed: Promise<void>
  readonly #claim = Promise.withResolvers<void>()
  readonly #done = Promise.withResolvers<void>()
  readonly #kept: Buffer[] = []
  #size = 0
  #read = Promise.withResolvers<void>()
  #take: Take = () => undefined
  #over: () => void = () => {}
  #isStream = false
  #busy = false
  #ended = false

  constructor() {
    this.claimed = this.#claim.promise
  }

  get kept(): number {
    return this.#size
  }

  get delivered(): Promise<void> {
    return this.#isStream ? Promise.resolve() : this.#done.promise
  }

  /** Resolves when something of what is kept has been taken. */
  read(): Promise<void> {
    return this.#read.promise
  }

  push(chunk: Buffer): void {
    if (this.#busy) {
      this.#kept.push(chunk)
      this.#size += chunk.length
      return
    }
    const waiting = this.#take(chunk)
    if (waiting === undefined) return
    this.#busy = true
    void this.#goOn(waiting)
  }

  end(): void {
    this.#ended = true
    if (!this.#busy) this.#finish()
  }

  forward(take: Take, ended: () => void): void {
    this.#take = take
    this.#over = ended
    this.#claim.resolve()
  }

  readable(): Readable {
    this.#isStream = true
    let drained: (() => void) | undefined
    const goOn = (): void => {
      drained?.()
      drained = undefined
    }
    const readable = new Readable({
      read: goOn,
      destroy(error, callback) {
        goOn()
        callback(error)
      },
    })
    const take: Take = (chunk) => {
      if (readable.destroyed || readable.push(chunk)) return undefined
      const { promise, resolve } = Promise.withResolvers<void>()
      drained = resolve
      return promise
    }
    this.forward(take, () => {
      if (!readable.destroyed) readable.push(null)
    })
    return readable
  }

  async #goOn(first: Promise<void>): Promise<void> {
    await first
    for (let chunk = this.#kept.shift(); chunk !== undefined; chunk = this.#kept.shift()) {
      this.#size -= chunk.length
      const waiting = this.#take(chunk)
      if (waiting !== undefined) await waiting
      this.#read.resolve()
      this.#read = Promise.withResolvers<void>()
    }
    this.#busy = false
    if (this.#ended) this.#finish()
  }

  #finish(): void {
    this.#over()
    this.#done.resolve()
  }
}

/** Stdin of a process in a container. */
export function execInput(attached: Attached): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, callback) {
      callbackify(() => attached.write(chunk))((error) => callback(error))
    },
    final(callback) {
      attached.closeStdin()
      callback()
    },
    destroy(error, callback) {
      attached.closeStdin()
      callback(error)
    },
  })
}
