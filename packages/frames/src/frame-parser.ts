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
    if (length > this.#maxPayload) throw new FrameError(`a frame of ${length} bytes is over the limit`)
    if (bytes.readUInt16BE(at + 6) !== 0) throw new FrameError('a reserved bit is set')
    if (!isFrameType(type)) throw new FrameError(`frame type ${type} is unknown`)
    if (!isStream(flags)) throw new FrameError(`stream ${flags} is unknown`)
    checkShape(type, flags, channel, length)
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

function checkShape(type: FrameType, flags: StreamNumber, channel: number, length: number): void {
  if (flags !== 0 && type !== FRAME.data && type !== FRAME.end)
    throw new FrameError('flags are set on a frame without a stream')
  switch (type) {
    case FRAME.pad:
      if (length !== 0 || channel !== 0) throw new FrameError('a pad is not all zero')
      return
    case FRAME.hello:
    case FRAME.welcome:
      if (channel !== 0) throw new FrameError('a greeting on a channel of its own')
      return
    case FRAME.ping:
    case FRAME.pong:
      if (channel !== 0 || length > MAX_PING) throw new FrameError('a ping of the wrong shape')
      return
    case FRAME.open:
    case FRAME.opened:
    case FRAME.data:
    case FRAME.event:
      if (channel === 0) throw new FrameError('the session itself has no operation')
      return
    case FRAME.end:
      if (channel === 0 || length !== 0) throw new FrameError('an end of the wrong shape')
      return
    case FRAME.credit:
      if (channel === 0 || length !== 4) throw new FrameError('a credit of the wrong shape')
      return
    case FRAME.close:
      return
  }
}
