import { createConnection, type Socket } from 'node:net'
import { CoveError, type Exit } from '@cove/domain'
import {
  encodeDataHeader,
  encodeFrame,
  Fields,
  FieldsWriter,
  FRAME,
  FrameParser,
  type FrameType,
  MAX_PAYLOAD,
  STREAM,
} from '@cove/frames'
import { OPERATION, readClose, readExit } from './launcher-wire.ts'

const PROTOCOL_VERSION = 1
const WATCH_CHANNEL = 1
/** How long the launcher may take to greet. */
const GREETING_MS = 5000

export interface ConnectionEvents {
  exited(id: string, exit: Exit): void
  /** Once, when the connection is over, whoever ended it. */
  closed(): void
}

export interface CallOptions {
  readonly fields?: FieldsWriter
  /** Sent as content behind the request. */
  readonly body?: Buffer
  /** Asks the launcher to give up; the call still ends with the launcher's answer. */
  readonly signal?: AbortSignal | undefined
  /** Called while the answer is being read, before anything that the launcher has sent after it. */
  readonly opened?: (fields: Fields) => void
  readonly event?: (fields: Fields) => void
}

interface Pending {
  readonly options: CallOptions
  resolve(): void
  reject(error: CoveError): void
}

/** One connection to a running launcher: calls out, answers and exits in. */
export class LauncherConnection {
  readonly #socket: Socket
  readonly #events: ConnectionEvents
  readonly #parser: FrameParser
  readonly #pending = new Map<number, Pending>()
  #nextChannel = WATCH_CHANNEL + 1
  #open = true
  #greet: ((refusal?: CoveError) => void) | undefined
  /** Resolves when the connection is over, whoever ended it. */
  readonly ended: Promise<void>
  readonly #over: () => void
  /** Pid of the launcher. */
  pid = 0

  private constructor(socket: Socket, events: ConnectionEvents) {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.#over = resolve
    this.#socket = socket
    this.#events = events
    this.#parser = new FrameParser({
      frame: (type, channel, payload) => this.#frame(type, channel, payload),
      data: () => {},
    })
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', () => {})
    socket.on('close', () => this.#end())
  }

  /** Rejects with the error of the socket when nobody listens, and with a CoveError when the launcher refuses. */
  static async connect(
    path: string,
    installation: string,
    events: ConnectionEvents,
    signal: AbortSignal,
  ): Promise<LauncherConnection> {
    const socket = await connectSocket(path, signal)
    const connection = new LauncherConnection(socket, events)
    const hello = new FieldsWriter().number(1, PROTOCOL_VERSION).number(2, PROTOCOL_VERSION).text(5, 'cove')
    socket.write(encodeFrame(FRAME.hello, 0, hello.text(6, installation).finish()))
    const watch = new FieldsWriter().number(1, OPERATION.watch).finish()
    socket.write(encodeFrame(FRAME.open, WATCH_CHANNEL, watch))
    const giveUp = AbortSignal.any([signal, AbortSignal.timeout(GREETING_MS)])
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => connection.close()
      giveUp.addEventListener('abort', abort, { once: true })
      connection.#greet = (refusal) => {
        giveUp.removeEventListener('abort', abort)
        if (refusal === undefined) resolve()
        else reject(refusal)
      }
      if (giveUp.aborted) abort()
    })
    return connection
  }

  get open(): boolean {
    return this.#open
  }

  /** Resolves when the launcher has closed the channel without an error. */
  async call(operation: number, options: CallOptions = {}): Promise<void> {
    if (!this.#open) throw unavailable()
    const channel = this.#nextChannel++
    const request = new FieldsWriter().number(1, operation).finish()
    const open = Buffer.concat([request, options.fields?.finish() ?? Buffer.alloc(0)])
    const cancel = (): void => {
      if (this.#open) this.#socket.write(encodeFrame(FRAME.close, channel))
    }
    try {
      await new Promise<void>((resolve, reject) => {
        this.#pending.set(channel, { options, resolve, reject })
        this.#socket.cork()
        this.#socket.write(encodeFrame(FRAME.open, channel, open))
        if (options.body !== undefined) this.#upload(channel, options.body)
        this.#socket.uncork()
        options.signal?.addEventListener('abort', cancel, { once: true })
      })
    } finally {
      options.signal?.removeEventListener('abort', cancel)
    }
  }

  close(): void {
    this.#socket.destroy()
    this.#end()
  }

  #upload(channel: number, body: Buffer): void {
    for (let at = 0; at < body.length; at += MAX_PAYLOAD) {
      const part = body.subarray(at, at + MAX_PAYLOAD)
      this.#socket.write(encodeDataHeader(channel, STREAM.content, part.length))
      this.#socket.write(part)
    }
    this.#socket.write(encodeFrame(FRAME.end, channel))
  }

  #receive(chunk: Buffer): void {
    try {
      this.#parser.push(chunk)
    } catch {
      // It does not speak our protocol: what it would say next means nothing either.
      this.close()
    }
  }

  #frame(type: FrameType, channel: number, payload: Buffer): void {
    if (type === FRAME.welcome) {
      this.pid = new Fields(payload).number(3) ?? 0
      this.#greeted()
    } else if (channel === 0) {
      if (type === FRAME.close) this.#greeted(readClose(payload) ?? unavailable())
    } else if (channel === WATCH_CHANNEL) {
      if (type === FRAME.event) this.#told(new Fields(payload))
    } else {
      this.#answered(type, channel, payload)
    }
  }

  #told(fields: Fields): void {
    const exit = readExit(fields)
    if (exit !== undefined) this.#events.exited(fields.needText(1), exit)
  }

  #answered(type: FrameType, channel: number, payload: Buffer): void {
    const pending = this.#pending.get(channel)
    if (pending === undefined) return
    if (type === FRAME.opened) pending.options.opened?.(new Fields(payload))
    else if (type === FRAME.event) pending.options.event?.(new Fields(payload))
    else if (type === FRAME.close) {
      this.#pending.delete(channel)
      const error = readClose(payload)
      if (error === undefined) pending.resolve()
      else pending.reject(error)
    }
  }

  #greeted(refusal?: CoveError): void {
    const greet = this.#greet
    this.#greet = undefined
    greet?.(refusal)
  }

  #end(): void {
    if (!this.#open) return
    this.#open = false
    this.#greeted(unavailable())
    for (const pending of this.#pending.values()) pending.reject(unavailable())
    this.#pending.clear()
    this.#events.closed()
    this.#over()
  }
}

async function connectSocket(path: string, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted()
  const socket = createConnection({ path })
  const abort = (): void => {
    socket.destroy(unavailable())
  }
  signal.addEventListener('abort', abort, { once: true })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
  } finally {
    signal.removeEventListener('abort', abort)
  }
  socket.removeAllListeners('error')
  return socket
}

export function unavailable(): CoveError {
  return new CoveError('launcher-unavailable', 'the connection to the launcher has ended')
}
