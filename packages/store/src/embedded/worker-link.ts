import type { Worker } from 'node:worker_threads'
import { CoveError } from '@cove/domain'
import { storeClosed } from '../store-errors.ts'
import type { Reply, Request } from './messages.ts'
import { requestBytes } from './request-size.ts'

/** Calls that may wait at once; each holds its values in memory. */
const WAITING_CALLS = 65_536
const WAITING_BYTES = 256 * 1024 * 1024

interface Waiting {
  readonly bytes: number
  readonly settle: (reply: Reply | CoveError) => void
}

/** Sends requests to the worker, all of one turn in one message, and matches its answers, which come in order. */
export class WorkerLink {
  readonly #worker: Worker
  readonly #exited: Promise<void>
  #outbox: Request[] = []
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #failure: CoveError | undefined
  #closing = false

  /** `onFailure` hears of a worker that ended without being asked. */
  constructor(worker: Worker, onFailure: (error: CoveError) => void) {
    this.#worker = worker
    let cause: unknown
    worker.on('error', (error) => {
      cause = error
    })
    worker.on('message', (replies: Reply[]) => this.#settle(replies))
    this.#exited = new Promise((resolve) => {
      worker.once('exit', () => {
        resolve()
        if (this.#closing && this.#waiting.length === 0) return
        this.#failure = new CoveError('io-error', 'the store worker ended unexpectedly', {}, { cause })
        const waiting = this.#waiting
        this.#waiting = []
        for (const each of waiting) each.settle(this.#failure)
        onFailure(this.#failure)
      })
    })
  }

  /**
   * Asks and waits for the kind of answer that belongs to it. `then` runs at the very moment of the answer, before
   * any later answer is looked at.
   */
  ask<Type extends Reply['type']>(
    request: Request,
    type: Type,
    then?: (reply: Extract<Reply, { type: Type }>) => void,
  ): Promise<Extract<Reply, { type: Type }>> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined || this.#closing) {
        reject(this.#failure ?? storeClosed())
        return
      }
      const bytes = requestBytes(request)
      const full = this.#waiting.length >= WAITING_CALLS || this.#waitingBytes + bytes > WAITING_BYTES
      if (full && request.type !== 'close') {
        reject(new CoveError('limit-reached', 'too many calls wait for the store', { waiting: this.#waiting.length }))
        return
      }
      const settle = (reply: Reply | CoveError) => {
        if (isReply(reply, type)) {
          then?.(reply)
          resolve(reply)
        } else reject(reply instanceof CoveError ? reply : errorOf(reply))
      }
      this.#send(request, { bytes, settle })
    })
  }

  /** Waits for what was asked before, then for the worker's end. */
  async close(): Promise<void> {
    if (this.#failure === undefined) {
      const closed = this.ask({ type: 'close' }, 'done')
      this.#closing = true
      await closed
    }
    await this.#exited
  }

  #send(request: Request, waiting: Waiting): void {
    this.#waiting.push(waiting)
    this.#waitingBytes += waiting.bytes
    if (this.#outbox.push(request) > 1) return
    queueMicrotask(() => {
      const requests = this.#outbox
      this.#outbox = []
      this.#worker.postMessage(requests, [])
    })
  }

  #settle(replies: readonly Reply[]): void {
    const settled = this.#waiting.splice(0, replies.length)
    for (const [i, reply] of replies.entries()) {
      const waiting = settled[i]
      if (waiting === undefined) return
      this.#waitingBytes -= waiting.bytes
      waiting.settle(reply)
    }
  }
}

function isReply<Type extends Reply['type']>(
  reply: Reply | CoveError,
  type: Type,
): reply is Extract<Reply, { type: Type }> {
  return !(reply instanceof CoveError) && reply.type === type
}

function errorOf(reply: Reply): CoveError {
  if (reply.type !== 'refused') return new CoveError('internal', `the store worker answered with ${reply.type}`)
  const { code, message, context, fix } = reply.problem
  return new CoveError(code, message, context, fix === undefined ? {} : { fix })
}
