import { Readable, Writable } from 'node:stream'
import { callbackify } from 'node:util'
import type { Attached } from '@cove/docker-engine'
import type { OutputSource } from '../environment/launched-proc.ts'

type Take = (chunk: Buffer) => Promise<void> | undefined

/**
 * Both streams of one connection. They come one behind the other, so whoever does not read one of them holds up both.
 */
export class ExecOutput {
  readonly stdout: Branch
  readonly stderr: Branch
  /** Resolves when the engine has sent everything, or has gone. */
  readonly ended: Promise<void>

  #isEnded = false

  constructor(attached: Attached) {
    this.stdout = new Branch()
    this.stderr = new Branch()
    this.ended = this.#carry(attached)
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  async #carry(attached: Attached): Promise<void> {
    try {
      await Promise.all([this.stdout.claimed, this.stderr.claimed])
      for await (const { stream, data } of attached.output) {
        const waiting = this[stream].take(data)
        if (waiting !== undefined) await waiting
      }
    } catch {
      // A stream that breaks has ended.
    } finally {
      this.#isEnded = true
      this.stdout.end()
      this.stderr.end()
    }
  }
}

class Branch implements OutputSource {
  readonly claimed: Promise<void>
  readonly #claim: () => void
  #take: Take = () => undefined
  #ended: () => void = () => {}

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.claimed = promise
    this.#claim = resolve
  }

  take(chunk: Buffer): Promise<void> | undefined {
    return this.#take(chunk)
  }

  end(): void {
    this.#ended()
  }

  forward(take: Take, ended: () => void): void {
    this.#take = take
    this.#ended = ended
    this.#claim()
  }

  readable(): Readable {
    let drained: (() => void) | undefined
    const go = (): void => {
      drained?.()
      drained = undefined
    }
    const readable = new Readable({
      read: go,
      destroy(error, callback) {
        go()
        callback(error)
      },
    })
    this.forward(
      (chunk) => {
        if (readable.destroyed || readable.push(chunk)) return undefined
        const { promise, resolve } = Promise.withResolvers<void>()
        drained = resolve
        return promise
      },
      () => {
        if (!readable.destroyed) readable.push(null)
      },
    )
    return readable
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
  })
}
