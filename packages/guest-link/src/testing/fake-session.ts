import { CoveError } from '@cove/domain'
import {
  encodeFrame,
  encodePreamble,
  Fields,
  FieldsWriter,
  FRAME,
  FrameError,
  FrameParser,
  MAX_PAYLOAD,
  type FrameSink,
  type FrameType,
} from '@cove/frames'
import { writeError } from '../wire/error-fields.ts'
import { DEFAULT_WINDOW, HELLO, MAX_CHANNELS, OPEN, TOKEN_BYTES, WELCOME } from '../wire/tags.ts'
import { FakeChannel } from './fake-channel.ts'

export interface Hello {
  readonly newest: number
  readonly oldest: number
  readonly epoch: number
  readonly token: Buffer
}

/** What a session asks of its agent. */
export interface SessionHost {
  readonly agentVersion: string
  readonly instance: Buffer
  readonly newestVersion: number
  /** The version to speak, or why not. On success this session is the only one from here on. */
  accept(session: FakeSession, hello: Hello): number | CoveError
  run(channel: FakeChannel, request: Fields): Promise<void>
}

/** The guest's side of one session, from behind the host's preamble. */
export class FakeSession implements FrameSink {
  readonly #host: SessionHost
  readonly #send: (bytes: Buffer) => void
  readonly #onOver: () => void
  readonly #ownStream: boolean
  readonly #parser = new FrameParser(this)
  readonly #channels = new Map<number, FakeChannel>()
  #last = 0
  #state: 'greeting' | 'open' | 'over' = 'greeting'

  /** `ownStream`: the stream ends with the session, so a newer one is on another. */
  constructor(host: SessionHost, nonce: Buffer, send: (bytes: Buffer) => void, onOver: () => void, ownStream: boolean) {
    this.#host = host
    this.#ownStream = ownStream
    this.#onOver = onOver
    this.#send = (bytes) => {
      if (this.#state !== 'over') send(bytes)
    }
    this.#send(encodePreamble(nonce))
  }

  get isOver(): boolean {
    return this.#state === 'over'
  }

  push(bytes: Buffer): void {
    if (this.#state === 'over') return
    try {
      this.#parser.push(bytes)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.end(undefined)
    }
  }

  /** A newer session begins. */
  takenOver(): void {
    this.end(this.#ownStream ? new CoveError('stale-session', 'another session has taken over') : undefined)
  }

  /** Ends it; the host is told why when there is an error. */
  end(error: CoveError | undefined): void {
    if (this.#state === 'over') return
    if (error !== undefined) this.#send(encodeFrame(FRAME.close, 0, writeError(error).finish()))
    this.#state = 'over'
    this.#parser.stop()
    for (const channel of this.#channels.values()) channel.drop()
    this.#channels.clear()
    this.#onOver()
  }

  frame(type: FrameType, number: number, payload: Buffer): void {
    if (this.#state === 'greeting') {
      if (type !== FRAME.hello) throw new FrameError('no hello')
      this.#greet(new Fields(payload))
      return
    }
    switch (type) {
      case FRAME.open:
        this.#open(number, new Fields(Buffer.from(payload)))
        return
      case FRAME.end:
        this.#channels.get(number)?.onEnd()
        return
      case FRAME.credit:
        this.#channels.get(number)?.onCredit(payload.readUInt32BE(0))
        return
      case FRAME.close:
        if (number === 0) this.end(undefined)
        else this.#channels.get(number)?.drop()
        return
      case FRAME.ping:
        this.#send(encodeFrame(FRAME.pong, 0, payload))
        return
      case FRAME.pong:
        return
      default:
        throw new FrameError(`a frame of type ${type} from a host`)
    }
  }

  data(number: number, _stream: number, bytes: Buffer): void {
    if (this.#state === 'greeting') throw new FrameError('no hello')
    this.#channels.get(number)?.onData(bytes)
  }

  #greet(fields: Fields): void {
    const hello = {
      newest: fields.needNumber(HELLO.newest),
      oldest: fields.needNumber(HELLO.oldest),
      epoch: fields.needNumber(HELLO.epoch),
      token: Buffer.from(fields.needBytes(HELLO.token)),
    }
    if (hello.token.length !== TOKEN_BYTES) throw new FrameError('a token of the wrong length')
    const answer = this.#host.accept(this, hello)
    if (answer instanceof CoveError) {
      this.end(answer)
      return
    }
    this.#state = 'open'
    const welcome = new FieldsWriter()
      .number(WELCOME.version, answer)
      .text(WELCOME.agentVersion, this.#host.agentVersion)
      .bytes(WELCOME.instance, this.#host.instance)
      .number(WELCOME.newest, this.#host.newestVersion)
      .number(WELCOME.maxPayload, MAX_PAYLOAD)
    this.#send(encodeFrame(FRAME.welcome, 0, welcome.finish()))
  }

  #open(number: number, request: Fields): void {
    if (number <= this.#last) throw new FrameError('a channel number used twice')
    this.#last = number
    const window = request.number(OPEN.window) ?? DEFAULT_WINDOW
    const channel = new FakeChannel(number, window, this.#send)
    if (this.#channels.size >= MAX_CHANNELS) {
      channel.close(new CoveError('limit-reached', `${MAX_CHANNELS} channels are open already`))
      return
    }
    this.#channels.set(number, channel)
    void this.#serve(channel, request)
  }

  async #serve(channel: FakeChannel, request: Fields): Promise<void> {
    let failure: CoveError | undefined
    try {
      await this.#host.run(channel, request)
    } catch (error) {
      failure =
        error instanceof FrameError
          ? new CoveError('invalid-argument', error.message)
          : CoveError.from(error, 'io-error')
    }
    this.#channels.delete(channel.number)
    // A host that closed the channel is answered, and needs no reason.
    channel.close(channel.signal.aborted ? undefined : failure)
  }
}
