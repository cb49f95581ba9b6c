import type { Duplex } from 'node:stream'
import { CoveError, type Random } from '@cove/domain'
import {
  encodeFrame,
  Fields,
  FRAME,
  FrameError,
  FrameParser,
  MAX_PAYLOAD,
  type FieldsWriter,
  type FrameSink,
  type FrameType,
  type StreamNumber,
} from '@cove/frames'
import { throwIfCancelled } from './cancelled.ts'
import { Channel, type ChannelHost, type ChannelOptions } from './channel.ts'
import { Greeting, type Welcome } from './greeting.ts'
import { readError } from './wire/error-fields.ts'
import { MAX_CHANNELS } from './wire/tags.ts'

/** Bytes of control frames that may wait for a guest that does not read. */
const MAX_WAITING_CONTROL = 4 * 1024 * 1024

/** Up to here a copy costs less than one more write. */
const SMALL_PAYLOAD = 2_048

export interface SessionOptions {
  readonly stream: Duplex
  readonly token: Uint8Array
  readonly epoch: number
  readonly random: Random
  readonly singleStream: boolean
  /** Milliseconds until a guest that has not answered the greeting is given up. */
  readonly greetingMs: number
}

export type OpenOptions = Omit<ChannelOptions, 'number'>

/** One greeting and everything until its stream ends. Owns the stream. */
export class Session implements FrameSink, ChannelHost {
  readonly welcome: Promise<Welcome>
  /** Resolves with the reason when it is over; never rejects. */
  readonly over: Promise<CoveError>
  readonly #stream: Duplex
  readonly #parser = new FrameParser(this)
  readonly #greeting: Greeting
  readonly #channels = new Map<number, Channel>()
  readonly #onDrain = new Set<() => void>()
  #nextChannel = 1
  #greeted = false
  #corked = false
  #maxPayload = MAX_PAYLOAD
  #reason: CoveError | undefined
  #resolveOver: (reason: CoveError) => void = () => {}
  #resolveWelcome: (welcome: Welcome) => void = () => {}
  #rejectWelcome: (error: CoveError) => void = () => {}
  #timer: NodeJS.Timeout | undefined

  constructor(options: SessionOptions) {
    this.#stream = options.stream
    this.#greeting = new Greeting(options.random, options.singleStream)
    this.over = new Promise((resolve) => {
      this.#resolveOver = resolve
    })
    this.welcome = new Promise((resolve, reject) => {
      this.#resolveWelcome = resolve
      this.#rejectWelcome = reject
    })
    this.welcome.catch(() => {})
    const stream = options.stream
    stream.on('data', (chunk: Buffer) => this.#onChunk(chunk))
    stream.on('drain', () => this.#drained())
    stream.on('error', (error: Error) => this.#fail(unreachable(error)))
    stream.on('end', () => this.#fail(unreachable()))
    stream.on('close', () => this.#fail(unreachable()))
    this.#timer = setTimeout(() => this.#fail(unreachable(undefined, 'it does not answer')), options.greetingMs)
    this.send(this.#greeting.hello(options.token, options.epoch))
    // A stream that has closed already tells nobody of it again.
    if (stream.destroyed) this.#fail(unreachable())
  }

  /** True from the moment that nothing can be sent any more; `over` resolves soon after. */
  get isOver(): boolean {
    return this.#reason !== undefined || this.#stream.destroyed
  }

  get maxPayload(): number {
    return this.#maxPayload
  }

  /** Starts an operation. Throws when the session is over or too many are open. */
  open(request: FieldsWriter, options: OpenOptions): Channel {
    throwIfCancelled(options.signal)
    if (this.#reason !== undefined) throw this.#reason
    if (this.#channels.size >= MAX_CHANNELS) {
      throw new CoveError('limit-reached', `${MAX_CHANNELS} calls to this guest are open already`)
    }
    const payload = request.finish()
    if (payload.length > this.#maxPayload) {
      throw new CoveError('invalid-argument', `the request is longer than ${this.#maxPayload} bytes`)
    }
    const channel = new Channel(this, { ...options, number: this.#nextChannel })
    this.#channels.set(this.#nextChannel, channel)
    this.send(encodeFrame(FRAME.open, this.#nextChannel, payload))
    this.#nextChannel += 1
    return channel
  }

  /** Tells the guest, lets go of the stream, and fails what still runs. */
  close(): void {
    if (this.#reason !== undefined) return
    if (this.#greeted) this.send(encodeFrame(FRAME.close, 0))
    this.#end(new CoveError('guest-unreachable', 'the link to the guest was closed'), false)
  }

  send(frame: Buffer): void {
    if (this.#reason !== undefined) return
    if (this.#stream.writableLength > MAX_WAITING_CONTROL) {
      this.violation('it answers nothing and reads nothing')
      return
    }
    this.#cork()
    this.#stream.write(frame)
  }

  sendData(header: Buffer, payload: Uint8Array): void {
    if (this.#reason !== undefined) return
    this.#cork()
    if (payload.length <= SMALL_PAYLOAD) {
      this.#stream.write(Buffer.concat([header, payload]))
      return
    }
    this.#stream.write(header)
    this.#stream.write(payload)
  }

  congested(onDrain: () => void): boolean {
    if (!this.#stream.writableNeedDrain) return false
    this.#onDrain.add(onDrain)
    return true
  }

  violation(message: string): CoveError {
    const error = new CoveError('guest-protocol', `the guest agent broke the protocol: ${message}`)
    this.#fail(error)
    return error
  }

  forget(channel: number): void {
    this.#channels.delete(channel)
  }

  // What the parser finds.

  frame(type: FrameType, channel: number, payload: Buffer, stream: StreamNumber): void {
    if (!this.#greeted) {
      this.#greet(type, channel, payload)
      return
    }
    switch (type) {
      case FRAME.opened:
        this.#channel(channel)?.onOpened(payload)
        return
      case FRAME.event:
        this.#channel(channel)?.onEvent(payload)
        return
      case FRAME.end:
        this.#channel(channel)?.onEnd(stream)
        return
      case FRAME.credit:
        this.#channel(channel)?.onCredit(payload.readUInt32BE(0))
        return
      case FRAME.close:
        if (channel === 0) this.#fail(readError(new Fields(payload)) ?? unreachable())
        else this.#channel(channel)?.onClose(readError(new Fields(payload)))
        return
      case FRAME.ping:
        this.send(encodeFrame(FRAME.pong, 0, payload))
        return
      case FRAME.pong:
        return
      default:
        throw new FrameError(`a frame of type ${type} from a guest`)
    }
  }

  data(channel: number, stream: StreamNumber, bytes: Buffer): void {
    if (!this.#greeted) throw new FrameError('content before the welcome')
    this.#channel(channel)?.onData(stream, bytes)
  }

  // Undefined for a channel that has been closed: both sides may close at once.
  #channel(number: number): Channel | undefined {
    if (number >= this.#nextChannel) throw new FrameError('a channel that was never opened')
    return this.#channels.get(number)
  }

  #greet(type: FrameType, channel: number, payload: Buffer): void {
    if (type === FRAME.close && channel === 0) {
      this.#fail(readError(new Fields(payload)) ?? unreachable())
      return
    }
    if (type !== FRAME.welcome) throw new FrameError('no welcome')
    const welcome = this.#greeting.readWelcome(new Fields(payload))
    this.#maxPayload = Math.min(MAX_PAYLOAD, welcome.maxPayload)
    this.#greeted = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#resolveWelcome(welcome)
  }

  #onChunk(chunk: Buffer): void {
    if (this.#reason !== undefined) return
    try {
      const rest = this.#greeting.hunt(chunk)
      if (rest !== undefined) this.#parser.push(rest)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.violation(error.message)
    }
  }

  // Everything of one turn of the event loop leaves in one write.
  #cork(): void {
    if (this.#corked) return
    this.#corked = true
    this.#stream.cork()
    process.nextTick(() => {
      this.#corked = false
      this.#stream.uncork()
    })
  }

  #drained(): void {
    const waiting = [...this.#onDrain]
    this.#onDrain.clear()
    for (const listener of waiting) listener()
  }

  #fail(reason: CoveError): void {
    if (this.#reason === undefined) this.#end(reason, true)
  }

  #end(reason: CoveError, now: boolean): void {
    this.#reason = reason
    clearTimeout(this.#timer)
    this.#parser.stop()
    // The stream may still tell of errors while it goes away; they change nothing any more.
    if (now) this.#stream.destroy()
    else this.#stream.end(() => {})
    if (!now) setImmediate(() => this.#stream.destroy())
    this.#rejectWelcome(reason)
    for (const channel of this.#channels.values()) channel.onSessionOver(reason)
    this.#channels.clear()
    this.#onDrain.clear()
    this.#resolveOver(reason)
  }
}

function unreachable(cause?: Error, why?: string): CoveError {
  const detail = why ?? cause?.message ?? 'the stream ended'
  return new CoveError('guest-unreachable', `the guest agent cannot be reached: ${detail}`, {}, { cause })
}
