import type { Duplex } from 'node:stream'
import {
  encodeFrame,
  encodePreamble,
  Fields,
  FieldsWriter,
  FRAME,
  FrameParser,
  PreambleScanner,
  type FrameType,
} from '@cove/frames'
import { systemRandom } from '@cove/domain/system'
import { ERROR, HELLO, OPEN } from '../wire/tags.ts'

export interface RawFrame {
  readonly type: FrameType
  readonly channel: number
  readonly payload: Buffer
}

export interface RawHello {
  readonly epoch: number
  readonly token: Uint8Array
  readonly newest?: number
  readonly oldest?: number
}

/** A host that sends exactly what it is told, rules or not. */
export class RawHost {
  readonly stream: Duplex
  readonly #frames: RawFrame[] = []
  readonly #scanner = new PreambleScanner()
  readonly #nonce: Buffer = Buffer.from(systemRandom.bytes(16))
  readonly #parser: FrameParser
  #synced = false
  #ended = false
  #wake: (() => void) | undefined

  constructor(stream: Duplex) {
    this.stream = stream
    const add = (type: FrameType, channel: number, payload: Buffer): void => {
      this.#frames.push({ type, channel, payload: Buffer.from(payload) })
      this.#wake?.()
    }
    this.#parser = new FrameParser({
      frame: add,
      data: (channel, _stream, bytes) => add(FRAME.data, channel, bytes),
    })
    stream.on('data', (chunk: Buffer) => this.#onChunk(chunk))
    const onEnd = (): void => {
      this.#ended = true
      this.#wake?.()
    }
    stream.on('end', onEnd)
    stream.on('close', onEnd)
    stream.on('error', onEnd)
  }

  preamble(): Buffer {
    return encodePreamble(this.#nonce)
  }

  hello(hello: RawHello): void {
    const fields = new FieldsWriter()
      .number(HELLO.newest, hello.newest ?? 1)
      .number(HELLO.oldest, hello.oldest ?? 1)
      .number(HELLO.epoch, hello.epoch)
      .bytes(HELLO.token, hello.token)
      .text(HELLO.daemon, 'raw')
    this.stream.write(Buffer.concat([this.preamble(), encodeFrame(FRAME.hello, 0, fields.finish())]))
  }

  open(channel: number, operation: number, add: (fields: FieldsWriter) => void = () => {}): void {
    const fields = new FieldsWriter().number(OPEN.operation, operation)
    add(fields)
    this.send(FRAME.open, channel, fields.finish())
  }

  send(type: FrameType, channel: number, payload?: Uint8Array): void {
    this.stream.write(encodeFrame(type, channel, payload))
  }

  /** The next frame; undefined when the guest has ended the stream. */
  async next(): Promise<RawFrame | undefined> {
    for (;;) {
      const frame = this.#frames.shift()
      if (frame !== undefined) return frame
      if (this.#ended) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Skips to the next frame of this type and channel. */
  async until(type: FrameType, channel: number): Promise<RawFrame> {
    for (;;) {
      const frame = await this.next()
      if (frame === undefined) throw new Error(`the stream ended before a frame of type ${type} on channel ${channel}`)
      if (frame.type === type && frame.channel === channel) return frame
    }
  }

  /** The code in the `CLOSE` of this channel; undefined when all is well. */
  async closeCode(channel: number): Promise<string | undefined> {
    return new Fields((await this.until(FRAME.close, channel)).payload).text(ERROR.code)
  }

  /** Reads until the guest ends the stream. */
  async ended(): Promise<RawFrame[]> {
    const rest: RawFrame[] = []
    for (;;) {
      const frame = await this.next()
      if (frame === undefined) return rest
      rest.push(frame)
    }
  }

  /** Waits until all that was sent has been handed to the stream, or the guest has ended it. */
  settle(): Promise<void> {
    return new Promise((resolve) => {
      this.stream.once('close', () => resolve())
      if (this.stream.destroyed) resolve()
      else this.stream.write(encodeFrame(FRAME.pad, 0), () => resolve())
    })
  }

  #onChunk(chunk: Buffer): void {
    let rest = chunk
    let from = 0
    while (!this.#synced) {
      const found = this.#scanner.push(chunk, from)
      if (found === undefined) return
      from = found.end
      this.#synced = found.nonce.equals(this.#nonce)
      rest = chunk.subarray(found.end)
    }
    if (rest.length > 0) this.#parser.push(rest)
  }
}
