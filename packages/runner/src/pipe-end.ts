import { close } from 'node:fs'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'

/** Many reads of a usual pipe at once: the fewer turns, the less each byte costs. */
const READ_BYTES = 256 * 1024
/** One for all: what was read is taken before anybody else reads. */
let shared: Buffer | undefined

/** The reading end of a pipe, which is read in one of two ways, once. */
export class PipeEnd {
  #fd: number | undefined

  constructor(fd: number) {
    this.#fd = fd
  }

  readable(): Readable {
    return new Socket({ fd: this.#take(), readable: true, writable: false })
  }

  /**
   * Gives every chunk to `take` as it comes, for the time of the call only, and waits whenever that answers with a promise;
   * then `ended`, also when it cannot be read any more.
   */
  forward(take: (chunk: Buffer) => Promise<void> | undefined, ended: () => void): void {
    const buffer = (shared ??= Buffer.allocUnsafeSlow(READ_BYTES))
    const callback = (count: number): boolean => {
      const waiting = take(buffer.subarray(0, count))
      if (waiting === undefined) return true
      void waiting.then(() => socket.resume())
      return false
    }
    const onread = { buffer, callback }
    const socket = new Socket({ fd: this.#take(), readable: true, writable: false, onread })
    socket.once('close', ended)
    // Its end is all that a broken pipe can tell.
    socket.on('error', () => {})
    socket.resume()
  }

  /** For one that nobody reads. */
  close(): void {
    if (this.#fd !== undefined) close(this.#take())
  }

  #take(): number {
    const fd = this.#fd
    if (fd === undefined) throw new Error('a pipe is read once')
    this.#fd = undefined
    return fd
  }
}
