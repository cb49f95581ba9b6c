import { CoveError } from '@cove/domain'
import { encodeCredit, encodeFrame, Fields, FRAME, FrameError, type StreamNumber } from '@cove/frames'
import { cancelled } from './cancelled.ts'
import { ReceiveQueue } from './receive-queue.ts'
import { Sending, type SendingHost } from './sending.ts'

/** What a channel needs of its session. */
export interface ChannelHost extends SendingHost {
  send(frame: Buffer): void
  /** The guest broke a rule: ends the session. Returns the error that everything on it fails with. */
  violation(message: string): CoveError
  /** The channel needs no more frames. */
  forget(channel: number): void
}

export interface ChannelOptions {
  readonly number: number
  /** Bytes that the guest may send before it is given more. */
  readonly window: number
  /** Most events, and bytes in them, that wait untaken. */
  readonly maxEvents: number
  readonly maxEventBytes: number
  /** What too many events mean: a broken rule, or that the untaken ones go and one `overflow` stands for them. */
  readonly onFlood: 'violation' | 'overflow'
  readonly signal: AbortSignal | undefined
}

export type Item =
  | { readonly kind: 'data'; readonly stream: StreamNumber; readonly data: Buffer }
  | { readonly kind: 'end'; readonly stream: StreamNumber }
  | { readonly kind: 'event'; readonly fields: Fields }
  | { readonly kind: 'overflow' }

interface Waiter {
  resolve(item: Item | undefined): void
  reject(error: CoveError): void
}

type Marker = Exclude<Item, { kind: 'data' }> & { readonly bytes: number }

/**
 * One operation in the guest: its answer, the bytes and events that come, and the bytes that go, with credit in both
 * directions. One consumer takes items, one producer sends.
 */
export class Channel {
  readonly number: number
  /** The answer to `OPEN`; rejects when the guest refuses, the session ends or the signal aborts. */
  readonly opened: Promise<Fields>
  readonly #host: ChannelHost
  readonly #options: ChannelOptions
  readonly #queue = new ReceiveQueue<Marker>()
  readonly #sending: Sending
  readonly #window: number
  #resolveOpened: ((fields: Fields) => void) | undefined
  #rejectOpened: ((error: CoveError) => void) | undefined
  /** `closing`: the host has closed and the guest has not answered yet. */
  #state: 'opening' | 'open' | 'closing' | 'over' = 'opening'
  #error: CoveError | undefined
  #waiter: Waiter | undefined
  #onOver: (() => void) | undefined
  #receivable: number
  #taken = 0
  #events = 0
  #eventBytes = 0
  #overflowed = false
  readonly #onAbort = (): void => {
    const signal = this.#options.signal
    if (signal !== undefined) this.abandon(cancelled(signal))
  }

  constructor(host: ChannelHost, options: ChannelOptions) {
    this.#host = host
    this.#options = options
    this.number = options.number
    this.#sending = new Sending(host, options.number)
    this.#window = options.window
    this.#receivable = options.window
    this.opened = new Promise((resolve, reject) => {
      this.#resolveOpened = resolve
      this.#rejectOpened = reject
    })
    // Whoever opened the channel may have gone before the answer came.
    this.opened.catch(() => {})
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** True when nothing more will come and nothing can be sent. */
  get ended(): boolean {
    return this.#state === 'closing' || this.#state === 'over'
  }

  // What the guest sends.

  onOpened(payload: Buffer): void {
    if (this.ended) return
    if (this.#state !== 'opening') throw new FrameError('a second answer on one channel')
    this.#state = 'open'
    this.#resolveOpened?.(new Fields(Buffer.from(payload)))
    this.#rejectOpened = undefined
  }

  onData(stream: StreamNumber, bytes: Buffer): void {
    this.#receivable -= bytes.length
    if (this.#receivable < 0) throw new FrameError('data beyond the credit')
    if (this.ended) return
    this.#mustBeOpen()
    const waiter = this.#waiter
    if (waiter === undefined) {
      this.#queue.pushBytes(stream, bytes)
    } else {
      this.#waiter = undefined
      this.#took(bytes.length)
      waiter.resolve({ kind: 'data', stream, data: bytes })
    }
  }

  onEnd(stream: StreamNumber): void {
    if (this.ended) return
    this.#mustBeOpen()
    this.#pushMarker({ kind: 'end', stream, bytes: 0 })
  }

  onEvent(payload: Buffer): void {
    if (this.ended) return
    this.#mustBeOpen()
    if (this.#overflowed) return
    const flood =
      this.#events >= this.#options.maxEvents || this.#eventBytes + payload.length > this.#options.maxEventBytes
    if (!flood) {
      this.#pushMarker({ kind: 'event', fields: new Fields(Buffer.from(payload)), bytes: payload.length })
      return
    }
    if (this.#options.onFlood === 'violation') throw new FrameError('more events than the operation has')
    this.#queue.clear()
    this.#events = 0
    this.#eventBytes = 0
    this.#overflowed = true
    this.#pushMarker({ kind: 'overflow', bytes: 0 })
  }

  onCredit(bytes: number): void {
    if (this.ended) return
    this.#sending.grant(bytes)
  }

  onClose(error: CoveError | undefined): void {
    if (this.#state === 'closing') {
      this.#state = 'over'
      this.#host.forget(this.number)
      return
    }
    if (this.#state === 'opening' && error === undefined) throw new FrameError('an operation closed without an answer')
    this.#finish('over', error)
    this.#host.forget(this.number)
  }

  /** The session is over. */
  onSessionOver(error: CoveError): void {
    if (this.#state === 'closing') this.#state = 'over'
    else this.#finish('over', error)
  }

  // What the host does.

  /** The next item; undefined when the guest has closed and all is well. What came before an error is told first. */
  next(): Promise<Item | undefined> {
    const taken = this.#queue.shift()
    if (taken !== undefined) return Promise.resolve(this.#deliver(taken))
    if (this.ended) return this.#error === undefined ? Promise.resolve(undefined) : Promise.reject(this.#error)
    if (this.#waiter !== undefined) return Promise.reject(new CoveError('internal', 'two readers on one channel'))
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject }
    })
  }

  /** Resolves when all of it has been handed to the stream within the guest's credit. */
  async send(stream: StreamNumber, bytes: Uint8Array): Promise<void> {
    await this.#sending.send(stream, bytes)
  }

  /** Hands over what credit and stream take at once; how many bytes that were. The rest is for `send`. */
  sendNow(stream: StreamNumber, bytes: Uint8Array): number {
    return this.#sending.sendNow(stream, bytes)
  }

  sendEnd(stream: StreamNumber): void {
    if (this.ended) throw this.#gone()
    this.#host.send(encodeFrame(FRAME.end, this.number, undefined, stream))
  }

  /**
   * Calls `listener` once when the channel ends, however it does; at once when it has. One listener at a time: a
   * new one replaces the last. The returned function takes it away.
   */
  whenEnded(listener: () => void): () => void {
    if (this.ended) {
      listener()
      return () => {}
    }
    this.#onOver = listener
    return () => {
      if (this.#onOver === listener) this.#onOver = undefined
    }
  }

  /** Why it ended; undefined when all was well. */
  get error(): CoveError | undefined {
    return this.#error
  }

  /** The host wants no more of it, and drops what has come. Safe to call twice. */
  close(): void {
    this.abandon(undefined)
  }

  /** Like `close`; whoever waits fails with this error. */
  abandon(error: CoveError | undefined): void {
    if (this.#state === 'over') this.#queue.clear()
    if (this.ended) return
    this.#queue.clear()
    this.#finish('closing', error)
    this.#host.send(encodeFrame(FRAME.close, this.number))
  }

  violation(message: string): CoveError {
    return this.#host.violation(message)
  }

  #mustBeOpen(): void {
    if (this.#state !== 'open') throw new FrameError('content before the answer')
  }

  #pushMarker(marker: Marker): void {
    if (marker.kind === 'event') {
      this.#events += 1
      this.#eventBytes += marker.bytes
    } else if (marker.kind === 'end') {
      this.#events += 1
      if (this.#events > this.#options.maxEvents) throw new FrameError('more ends than streams')
    }
    const waiter = this.#waiter
    if (waiter === undefined) {
      this.#queue.pushMarker(marker)
    } else {
      this.#waiter = undefined
      waiter.resolve(this.#deliver({ marker }))
    }
  }

  #deliver(entry: { piece: { stream: StreamNumber; data: Buffer } } | { marker: Marker }): Item {
    if ('piece' in entry) {
      this.#took(entry.piece.data.length)
      return { kind: 'data', stream: entry.piece.stream, data: entry.piece.data }
    }
    const marker = entry.marker
    if (marker.kind === 'overflow') this.#overflowed = false
    else {
      this.#events -= 1
      this.#eventBytes -= marker.bytes
    }
    return marker
  }

  // Given back a quarter of the window at a time: few frames, and the guest never runs dry.
  #took(bytes: number): void {
    this.#taken += bytes
    if (this.#taken * 4 < this.#window || this.ended) return
    this.#receivable += this.#taken
    this.#host.send(encodeCredit(this.number, this.#taken))
    this.#taken = 0
  }

  #gone(): CoveError {
    return this.#error ?? new CoveError('wrong-state', 'the guest takes no more of this')
  }

  #finish(state: 'closing' | 'over', error: CoveError | undefined): void {
    this.#state = state
    this.#error = error
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    const waiter = this.#waiter
    this.#waiter = undefined
    if (error === undefined) waiter?.resolve(undefined)
    else waiter?.reject(error)
    this.#rejectOpened?.(error ?? new CoveError('cancelled', 'the call was closed'))
    this.#sending.end(() => this.#gone())
    const onOver = this.#onOver
    this.#onOver = undefined
    onOver?.()
  }
}
