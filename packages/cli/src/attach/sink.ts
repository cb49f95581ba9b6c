import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { OutputClosed } from './output-closed.ts'

/** Writes to a stream no faster than it takes it. */
export class Sink implements Disposable {
  readonly #stream: Writable
  readonly #fail: (error: Error) => void
  #broken = false

  constructor(stream: Writable) {
    this.#stream = stream
    this.#fail = () => {
      this.#broken = true
    }
    stream.on('error', this.#fail)
  }

  /** Rejects with `OutputClosed` once the reader has gone. */
  async write(data: string | Uint8Array): Promise<void> {
    const stream = this.#stream
    if (this.#gone()) throw new OutputClosed()
    if (stream.write(data) || stream.destroyed) return
    await once(stream, 'drain').catch(this.#fail)
    if (this.#gone()) throw new OutputClosed()
  }

  #gone(): boolean {
    return this.#broken || this.#stream.destroyed || this.#stream.errored !== null
  }

  [Symbol.dispose](): void {
    this.#stream.off('error', this.#fail)
  }
}
