import type { CoveError } from '@cove/domain'
import { encodeDataHeader, findMark, FrameError, type StreamNumber } from '@cove/frames'
import { DEFAULT_WINDOW } from './wire/tags.ts'

/** No channel may ever have more credit than this, in bytes. */
const MAX_CREDIT = 0x7fff_ffff

export interface SendingHost {
  /** Largest payload of one frame, in bytes. */
  readonly maxPayload: number
  sendData(header: Buffer, payload: Uint8Array): void
  /** True when the stream wants no more bytes now; `onDrain` is called once when it does again. */
  congested(onDrain: () => void): boolean
}

/** The outgoing half of one channel: content goes as fast as the guest's credit and the stream allow. One sender. */
export class Sending {
  readonly #host: SendingHost
  readonly #channel: number
  #credit = DEFAULT_WINDOW
  #ended: (() => CoveError) | undefined
  #onProgress: (() => void) | undefined
  readonly #wake = (): void => this.#onProgress?.()

  constructor(host: SendingHost, channel: number) {
    this.#host = host
    this.#channel = channel
  }

  grant(bytes: number): void {
    this.#credit += bytes
    if (this.#credit > MAX_CREDIT) throw new FrameError('more credit than a channel may have')
    this.#wake()
  }

  /** Nothing more is sent; whoever sends fails with this error, which is made only for them: most calls end well. */
  end(error: () => CoveError): void {
    this.#ended = error
    this.#wake()
  }

  /** Hands over what goes at once, and says how many bytes that were. */
  sendNow(stream: StreamNumber, bytes: Uint8Array): number {
    let at = 0
    while (at < bytes.length && this.#ended === undefined && this.#credit > 0 && !this.#host.congested(this.#wake)) {
      at += this.#sendPart(stream, bytes, at)
    }
    return at
  }

  /** Resolves when all of it has been handed to the stream. The bytes must not change until they are written. */
  async send(stream: StreamNumber, bytes: Uint8Array): Promise<void> {
    let at = 0
    for (;;) {
      if (this.#ended !== undefined) throw this.#ended()
      if (at === bytes.length) return
      if (this.#credit > 0 && !this.#host.congested(this.#wake)) at += this.#sendPart(stream, bytes, at)
      else await this.#progress()
    }
  }

  #sendPart(stream: StreamNumber, bytes: Uint8Array, at: number): number {
    const limit = Math.min(this.#credit, this.#host.maxPayload)
    let part = bytes.subarray(at, at + limit)
    // A guest on a single stream would take content with a preamble in it for a new session.
    const mark = findMark(part)
    if (mark > 0) part = part.subarray(0, mark)
    this.#credit -= part.length
    this.#host.sendData(encodeDataHeader(this.#channel, stream, part.length), part)
    return part.length
  }

  #progress(): Promise<void> {
    return new Promise((resolve) => {
      this.#onProgress = () => {
        this.#onProgress = undefined
        resolve()
      }
    })
  }
}
