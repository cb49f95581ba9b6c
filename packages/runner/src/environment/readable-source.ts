import type { Readable } from 'node:stream'
import type { OutputSource } from './launched-proc.ts'

/** A stream of Node as a source of output. */
export class ReadableSource implements OutputSource {
  readonly #stream: Readable

  constructor(stream: Readable) {
    this.#stream = stream
  }

  forward(take: (chunk: Buffer) => Promise<void> | undefined, ended: () => void): void {
    const stream = this.#stream
    stream.on('data', (chunk: Buffer) => {
      const waiting = take(chunk)
      if (waiting === undefined) return
      stream.pause()
      void waiting.then(() => stream.resume())
    })
    stream.once('close', ended)
    // Its end is all that a broken stream can tell.
    stream.on('error', () => {})
  }

  readable(): Readable {
    return this.#stream
  }
}
