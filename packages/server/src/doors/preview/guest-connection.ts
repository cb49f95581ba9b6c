import type { Duplex } from 'node:stream'
import { ResponseError, ResponseParser, type ResponseSink } from './response-parser.ts'

/** Who waits for an answer on a connection. */
export interface Waiting extends ResponseSink {
  /**
   * The connection broke, or what came on it is no answer. Nothing more is told then. `untouched` when it had carried
   * requests before and nothing of an answer has come: most likely it was closed before this one arrived.
   */
  failed(error: Error, untouched: boolean): void
}

/** One connection to a server in a sandbox: requests go out one after the other, answers come back. */
export class GuestConnection {
  readonly stream: Duplex
  /** Requests that it has carried. */
  #used = 0
  #parser: ResponseParser | undefined
  #waiting: Waiting | undefined

  constructor(stream: Duplex) {
    this.stream = stream
    stream.on('data', this.#push)
    stream.on('end', this.#finish)
    stream.on('close', () => this.#fail(new ResponseError('the connection broke')))
  }

  get usable(): boolean {
    const { stream } = this
    return !stream.destroyed && !stream.readableEnded && !stream.writableEnded
  }

  /** Begins a request; `head` ends with the empty line. */
  ask(method: string, head: string, waiting: Waiting): void {
    this.#used++
    this.#waiting = waiting
    this.#parser = new ResponseParser(method, waiting)
    this.stream.write(head, 'latin1')
    if (!this.usable) queueMicrotask(() => this.#fail(new ResponseError('the connection broke')))
  }

  /** Nobody waits any more; the connection may carry the next request. */
  rest(): void {
    this.#parser = undefined
    this.#waiting = undefined
  }

  /** Takes the stream out of this, as it is after an answer that switches protocols. */
  detach(): Duplex {
    this.rest()
    this.stream.off('data', this.#push)
    this.stream.off('end', this.#finish)
    // Nobody listens until the next owner does.
    this.stream.pause()
    return this.stream
  }

  destroy(): void {
    this.rest()
    this.stream.destroy()
  }

  readonly #push = (chunk: Buffer): void => {
    const parser = this.#parser
    // Words without a question, or behind the end of an answer: whatever they are, they are not for the next one.
    if (parser === undefined) {
      this.destroy()
      return
    }
    try {
      parser.push(chunk)
    } catch (error) {
      this.#fail(error instanceof Error ? error : new ResponseError(String(error)))
    }
  }

  readonly #finish = (): void => {
    try {
      this.#parser?.finish()
    } catch (error) {
      this.#fail(error instanceof Error ? error : new ResponseError(String(error)))
    }
    // It may still take what is written, but there is nobody to answer.
    this.stream.destroy()
  }

  #fail(error: Error): void {
    const waiting = this.#waiting
    const untouched = this.#used > 1 && this.#parser?.untouched === true
    this.destroy()
    waiting?.failed(error, untouched)
  }
}
