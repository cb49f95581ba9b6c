import type { Random } from '@cove/domain'
import {
  encodeFrame,
  encodePreamble,
  FieldsWriter,
  FRAME,
  FrameError,
  MAX_PAYLOAD,
  NONCE_BYTES,
  PREAMBLE_BYTES,
  PreambleScanner,
  type Fields,
} from '@cove/frames'
import { HELLO, INSTANCE_BYTES, PROTOCOL, WELCOME } from './wire/tags.ts'

export interface Welcome {
  readonly version: number
  readonly agentVersion: string
  /** Hex. */
  readonly instance: string
  readonly maxPayload: number
}

/** A guest that takes less than this at once would make every transfer crawl. */
const MIN_MAX_PAYLOAD = 4096

/** The host's side of how a session begins. */
export class Greeting {
  readonly #nonce: Buffer
  readonly #preamble: Buffer
  readonly #scanner: PreambleScanner | undefined
  #matched = 0
  #found = false

  /** `anything`: the stream may still carry the end of an older session; else the preamble comes first. */
  constructor(random: Random, anything: boolean) {
    this.#nonce = Buffer.from(random.bytes(NONCE_BYTES))
    this.#preamble = encodePreamble(this.#nonce)
    this.#scanner = anything ? new PreambleScanner() : undefined
  }

  hello(token: Uint8Array, epoch: number): Buffer {
    const fields = new FieldsWriter()
      .number(HELLO.newest, PROTOCOL.newest)
      .number(HELLO.oldest, PROTOCOL.oldest)
      .number(HELLO.epoch, epoch)
      .bytes(HELLO.token, token)
      .text(HELLO.daemon, 'cove')
    return Buffer.concat([this.#preamble, encodeFrame(FRAME.hello, 0, fields.finish())])
  }

  /** What of this chunk belongs to the session; undefined while the guest's preamble has not come. */
  hunt(chunk: Buffer): Buffer | undefined {
    if (this.#found) return chunk
    const end = this.#scanner === undefined ? this.#expect(chunk) : this.#scan(this.#scanner, chunk)
    if (end === undefined) return undefined
    this.#found = true
    return end === chunk.length ? undefined : chunk.subarray(end)
  }

  readWelcome(fields: Fields): Welcome {
    const version = fields.needNumber(WELCOME.version)
    if (version < PROTOCOL.oldest || version > PROTOCOL.newest) throw new FrameError('a version that was not offered')
    const instance = fields.needBytes(WELCOME.instance)
    if (instance.length !== INSTANCE_BYTES) throw new FrameError('an instance of the wrong length')
    const agentVersion = fields.needText(WELCOME.agentVersion)
    if (!/^[\x21-\x7e]{1,64}$/.test(agentVersion)) throw new FrameError('a version that is no word')
    const maxPayload = fields.number(WELCOME.maxPayload) ?? MAX_PAYLOAD
    if (maxPayload < MIN_MAX_PAYLOAD) throw new FrameError('a largest payload that is too small')
    return { version, agentVersion, instance: instance.toString('hex'), maxPayload }
  }

  #expect(chunk: Buffer): number | undefined {
    const count = Math.min(chunk.length, PREAMBLE_BYTES - this.#matched)
    if (!chunk.subarray(0, count).equals(this.#preamble.subarray(this.#matched, this.#matched + count))) {
      throw new FrameError('it does not answer the greeting')
    }
    this.#matched += count
    return this.#matched === PREAMBLE_BYTES ? count : undefined
  }

  #scan(scanner: PreambleScanner, chunk: Buffer): number | undefined {
    let from = 0
    for (;;) {
      const found = scanner.push(chunk, from)
      if (found === undefined) return undefined
      if (found.nonce.equals(this.#nonce)) return found.end
      from = found.end
    }
  }
}
