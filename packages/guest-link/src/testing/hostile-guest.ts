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
import { ERROR, OPEN, WELCOME } from '../wire/tags.ts'
import type { ErrorCode } from '@cove/domain'
import { memoryPair } from './memory-pair.ts'

export interface HostileOptions {
  /** What it says after the preamble. Default: a proper welcome. */
  readonly greet?: (guest: HostileGuest) => void
  /** Called for each operation that the host opens. */
  readonly onOpen?: (guest: HostileGuest, channel: number, operation: number) => void
  /** Called for every other frame of the host. */
  readonly onFrame?: (guest: HostileGuest, type: FrameType, channel: number) => void
}

/** A guest that keeps to the rules only as far as a test wants it to. */
export class HostileGuest {
  /** Connections so far. */
  connections = 0
  readonly #options: HostileOptions
  #stream: Duplex | undefined

  constructor(options: HostileOptions = {}) {
    this.#options = options
  }

  connect(): Promise<Duplex> {
    this.connections += 1
    const [host, guest] = memoryPair()
    this.#stream = guest
    const scanner = new PreambleScanner()
    const parser = new FrameParser({
      frame: (type, channel, payload) => this.#onFrame(type, channel, payload),
      data: (channel) => this.#options.onFrame?.(this, FRAME.data, channel),
    })
    let synced = false
    guest.on('data', (chunk: Buffer) => {
      if (synced) {
        parser.push(chunk)
        return
      }
      const found = scanner.push(chunk)
      if (found === undefined) return
      synced = true
      this.raw(encodePreamble(found.nonce))
      parser.push(chunk.subarray(found.end))
    })
    return Promise.resolve(host)
  }

  raw(bytes: Uint8Array): void {
    if (this.#stream?.writable === true) this.#stream.write(bytes)
  }

  send(
    type: FrameType,
    channel: number,
    fields: FieldsWriter | Uint8Array = new FieldsWriter(),
    stream: 0 | 1 | 2 | 3 = 0,
  ): void {
    this.raw(encodeFrame(type, channel, fields instanceof FieldsWriter ? fields.finish() : fields, stream))
  }

  welcome(change: (fields: FieldsWriter) => void = () => {}): void {
    const fields = new FieldsWriter()
      .number(WELCOME.version, 1)
      .text(WELCOME.agentVersion, '6.6.6')
      .bytes(WELCOME.instance, Buffer.alloc(16, 6))
      .number(WELCOME.newest, 1)
      .number(WELCOME.maxPayload, 262_144)
    // Of a repeated field the last one counts.
    change(fields)
    this.send(FRAME.welcome, 0, fields)
  }

  /** Refuses the greeting. */
  refuse(code: ErrorCode): void {
    this.send(FRAME.close, 0, new FieldsWriter().text(ERROR.code, code).text(ERROR.message, 'no'))
  }

  drop(): void {
    this.#stream?.destroy()
  }

  /** Reads nothing any more. */
  stopReading(): void {
    this.#stream?.pause()
  }

  #onFrame(type: FrameType, channel: number, payload: Buffer): void {
    if (type === FRAME.hello) {
      if (this.#options.greet === undefined) this.welcome()
      else this.#options.greet(this)
    } else if (type === FRAME.open) {
      this.#options.onOpen?.(this, channel, new Fields(payload).needNumber(OPEN.operation))
    } else this.#options.onFrame?.(this, type, channel)
  }
}
