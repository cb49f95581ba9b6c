import { FrameError } from './frame-error.ts'
import { FRAME, HEADER_BYTES, MAX_PAYLOAD, MAX_PING, STREAM, type FrameType, type StreamNumber } from './frame-types.ts'

/** Takes what a parser finds, in order, while `push` runs. Buffers may be views of the pushed chunk. */
export interface FrameSink {
  /** A whole frame of any type but `data` and `pad`. `stream` is 0 except for `end`. */
  frame(type: FrameType, channel: number, payload: Buffer, stream: StreamNumber): void
  /** Some bytes of a `data` frame, as they came; one frame may be told in many parts. Never empty. */
  data(channel: number, stream: StreamNumber, bytes: Buffer): void
}

const FIRST_CONTROL_ALLOCATION = 4096

/**
 * Cuts a byte stream into frames without waiting for the payload of a `data` frame and without copying it.
 * Memory stays below one control payload, and grows only with bytes that have really come.
 * `push` throws FrameError at the first broken rule; the parser takes nothing more after that.
 */
export class FrameParser {
  readonly #sink: FrameSink
  readonly #maxPayload: number
  readonly #header = Buffer.alloc(HEADER_BYTES)
  #headerFill = 0
  #type: FrameType = FRAME.pad
  #stream: StreamNumber = STREAM.content
  #channel = 0
  #length = 0
  #remaining = 0
  #control: Buffer | undefined
  #stopped = false

  constructor(sink: FrameSink, maxPayload: number = MAX_PAYLOAD) {
    this.#sink = sink
    this.#maxPayload = maxPayload
  }

  /** True between frames: nothing of an unfinished one is held. */
  get idle(): boolean {
    return this.#headerFill === 0
  }

  /** Drops everything from here on, also what is left of the chunk being pushed. */
  stop(): void {
    this.#stopped = true
    this.#control = undefined
  }

  push(chunk: Buffer): void {
    let at = 0
    try {
      while (at < chunk.length && !this.#stopped) {
        at = this.#headerFill < HEADER_BYTES ? this.#takeHeader(chunk, at) : this.#takePayload(chunk, at)
      }
    } catch (error) {
      this.stop()
      throw error
    }
  }

  #takeHeader(chunk: Buffer, from: number): number {
    const available = chunk.length - from
    if (this.#headerFill === 0 && available >= HEADER_BYTES) {
      this.#begin(chunk, from)
      return from + HEADER_BYTES
    }
    const count = Math.min(HEADER_BYTES - this.#headerFill, available)
    chunk.copy(this.#header, this.#headerFill, from, from + count)
    this.#headerFill += count
    if (this.#headerFill === HEADER_BYTES) this.#begin(this.#header, 0)
    return from + count
  }

  #begin(bytes: Buffer, at: number): void {
    const length = bytes.readUInt32BE(at)
    const type = bytes[at + 4] ?? 0
    const flags = bytes[at + 5] ?? 0
    const channel = bytes.readUInt32BE(at + 8)
    if (bytes.readUInt16BE(at + 6) !== 0) throw new FrameError('a reserved bit is set', 'reserved')
    if (!isFrameType(type)) throw new FrameError(`frame type ${type} is unknown`, 'type')
    if (!fits(type, length, this.#maxPayload)) {
      throw new FrameError(`${length} bytes are no length of a frame of type ${type}`, 'length')
    }
    if (!isStream(flags) || (flags !== 0 && type !== FRAME.data && type !== FRAME.end)) {
      throw new FrameError(`flags ${flags} on a frame of type ${type}`, 'flags')
    }
    if (!isPlaced(type, channel)) throw new FrameError(`a frame of type ${type} on channel ${channel}`, 'channel')
    this.#type = type
    this.#stream = flags
    this.#channel = channel
    this.#length = length
    this.#remaining = length
    this.#headerFill = HEADER_BYTES
    if (length === 0) this.#finish(EMPTY)
  }

  #takePayload(chunk: Buffer, from: number): number {
    const count = Math.min(this.#remaining, chunk.length - from)
    const end = from + count
    this.#remaining -= count
    if (this.#type === FRAME.data) {
      if (this.#remaining === 0) this.#headerFill = 0
      this.#sink.data(this.#channel, this.#stream, chunk.subarray(from, end))
    } else if (count === this.#length) {
      this.#finish(chunk.subarray(from, end))
    } else {
      const whole = this.#collect(chunk, from, end)
      if (this.#remaining === 0) {
        this.#control = undefined
        this.#finish(whole)
      }
    }
    return end
  }

  // Doubles as bytes come: a header alone that promises the limit costs nothing.
  #collect(chunk: Buffer, from: number, end: number): Buffer {
    const before = this.#length - this.#remaining - (end - from)
    const needed = before + (end - from)
    let held = this.#control ?? Buffer.allocUnsafe(Math.min(this.#length, Math.max(needed, FIRST_CONTROL_ALLOCATION)))
    if (held.length < needed) {
      const larger = Buffer.allocUnsafe(Math.min(this.#length, Math.max(needed, held.length * 2)))
      held.copy(larger, 0, 0, before)
      held = larger
    }
    chunk.copy(held, before, from, end)
    this.#control = held
    return held
  }

  #finish(payload: Buffer): void {
    this.#headerFill = 0
    if (this.#type === FRAME.pad || this.#type === FRAME.data) return
    this.#sink.frame(this.#type, this.#channel, payload, this.#stream)
  }
}

const EMPTY = Buffer.alloc(0)

function isFrameType(type: number): type is FrameType {
  return type <= FRAME.pong
}

function isStream(flags: number): flags is StreamNumber {
  return flags <= STREAM.terminal
}

function fits(type: FrameType, length: number, maxPayload: number): boolean {
  switch (type) {
    case FRAME.pad:
    case FRAME.end:
      return length === 0
    case FRAME.credit:
      return length === 4
    case FRAME.ping:
    case FRAME.pong:
      return length <= MAX_PING
    default:
      return length <= maxPayload
  }
}

function isPlaced(type: FrameType, channel: number): boolean {
  switch (type) {
    case FRAME.pad:
    case FRAME.hello:
    case FRAME.welcome:
    case FRAME.ping:
    case FRAME.pong:
      return channel === 0
    case FRAME.close:
      return true
    default:
      return channel !== 0
  }
}
