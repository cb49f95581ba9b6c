import { CoveError } from '@cove/domain'
import {
  encodeCredit,
  encodeDataHeader,
  encodeFrame,
  FieldsWriter,
  FRAME,
  FrameError,
  STREAM,
  type StreamNumber,
} from '@cove/frames'
import { writeError } from '../wire/error-fields.ts'
import { DEFAULT_WINDOW } from '../wire/tags.ts'

const NOTHING = new FieldsWriter()

/** One operation, seen from the guest. */
export class FakeChannel {
  readonly number: number
  /** Aborts when the host has closed the channel or the session is gone. */
  readonly signal: AbortSignal
  readonly #abort = new AbortController()
  readonly #send: (bytes: Buffer) => void
  readonly #incoming: Buffer[] = []
  #incomingEnded = false
  #receivable = DEFAULT_WINDOW
  #taken = 0
  #sendable: number
  #wake: (() => void)[] = []

  constructor(number: number, window: number, send: (bytes: Buffer) => void) {
    this.number = number
    this.signal = this.#abort.signal
    this.#sendable = window
    this.#send = send
  }

  // What the host sends.

  onData(bytes: Buffer): void {
    this.#receivable -= bytes.length
    if (this.#receivable < 0) throw new FrameError('data beyond the credit')
    this.#incoming.push(Buffer.from(bytes))
    this.#change()
  }

  onEnd(): void {
    this.#incomingEnded = true
    this.#change()
  }

  onCredit(bytes: number): void {
    this.#sendable += bytes
    this.#change()
  }

  drop(): void {
    this.#abort.abort(new CoveError('cancelled', 'the host closed the channel'))
    this.#change()
  }

  // What the guest does.

  opened(fields: FieldsWriter = NOTHING): void {
    this.#frame(FRAME.opened, fields)
  }

  event(fields: FieldsWriter): void {
    this.#frame(FRAME.event, fields)
  }

  end(stream: StreamNumber = STREAM.content): void {
    if (!this.signal.aborted) this.#send(encodeFrame(FRAME.end, this.number, undefined, stream))
  }

  close(error: CoveError | undefined): void {
    this.#send(encodeFrame(FRAME.close, this.number, (error === undefined ? NOTHING : writeError(error)).finish()))
  }

  /** Sends within the host's credit; throws when the host has closed. */
  async send(stream: StreamNumber, bytes: Uint8Array): Promise<void> {
    let at = 0
    while (at < bytes.length) {
      this.signal.throwIfAborted()
      const count = Math.min(this.#sendable, bytes.length - at, 65_536)
      if (count === 0) await this.#changed()
      else {
        this.#sendable -= count
        const part = bytes.subarray(at, at + count)
        this.#send(Buffer.concat([encodeDataHeader(this.number, stream, count), part]))
        at += count
      }
    }
  }

  /** The next bytes of the host; undefined after its end. Throws when the host has closed. */
  async next(): Promise<Buffer | undefined> {
    for (;;) {
      this.signal.throwIfAborted()
      const bytes = this.#incoming.shift()
      if (bytes !== undefined) {
        this.#took(bytes.length)
        return bytes
      }
      if (this.#incomingEnded) return undefined
      await this.#changed()
    }
  }

  #took(bytes: number): void {
    this.#taken += bytes
    if (this.#taken * 4 < DEFAULT_WINDOW) return
    this.#receivable += this.#taken
    this.#send(encodeCredit(this.number, this.#taken))
    this.#taken = 0
  }

  #frame(type: typeof FRAME.opened | typeof FRAME.event, fields: FieldsWriter): void {
    if (!this.signal.aborted) this.#send(encodeFrame(type, this.number, fields.finish()))
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake.push(resolve)
    })
  }

  #change(): void {
    const wake = this.#wake
    this.#wake = []
    for (const listener of wake) listener()
  }
}
