import type { Duplex } from 'node:stream'
import { CoveError } from '@cove/domain'

/** What QEMU tells without being asked. */
export interface QmpEvent {
  readonly name: string
  readonly data: Readonly<Record<string, unknown>>
}

export interface QmpGreeting {
  /** Of QEMU, such as `7.2.22`. */
  readonly version: string
}

/** QEMU is trusted no more than the guest that may have taken it over. */
const MAX_LINE = 1024 * 1024
const MAX_EVENTS = 256

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

/**
 * A session with the monitor of one QEMU (QMP). Commands are answered in their order. `guest-unreachable` when the
 * connection ends, `driver-failed` with QEMU's reason for a command that it refuses.
 */
export class QmpClient implements AsyncDisposable {
  readonly greeting: QmpGreeting
  readonly #stream: Duplex
  readonly #waiting = new Map<number, Waiting>()
  readonly #listeners = new Set<(event: QmpEvent) => void>()
  readonly #events: QmpEvent[] = []
  readonly #ends = new Set<(error: CoveError) => void>()
  #next = 0
  #rest = ''
  #ended: CoveError | undefined

  private constructor(stream: Duplex, greeting: QmpGreeting, rest: string) {
    this.#stream = stream
    this.greeting = greeting
    stream.on('data', (chunk: Buffer) => this.#take(chunk))
    const onEnd = (cause?: Error) => this.#end(ended(cause))
    stream.on('close', () => onEnd())
    stream.on('error', onEnd)
    this.#take(Buffer.from(rest))
    stream.resume()
  }

  /** Greets it. The stream is the client's from here on, also when this fails. */
  static async open(stream: Duplex, signal: AbortSignal): Promise<QmpClient> {
    const onAbort = () => stream.destroy()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
      const { line, rest } = await firstLine(stream)
      const client = new QmpClient(stream, greetingOf(line), rest)
      await client.execute('qmp_capabilities', {}, signal)
      return client
    } catch (error) {
      stream.destroy()
      if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
      throw CoveError.from(error, 'driver-failed')
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** The answer's `return`. A command that nobody waits for any more is carried out all the same. */
  execute(command: string, args: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    if (signal.aborted) return Promise.reject(CoveError.from(signal.reason, 'cancelled'))
    const id = ++this.#next
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#waiting.set(id, { resolve, reject })
    const onAbort = () => reject(CoveError.from(signal.reason, 'cancelled'))
    signal.addEventListener('abort', onAbort, { once: true })
    this.#stream.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    return promise
      .catch((error: unknown) => {
        if (error instanceof RefusedCommand) {
          throw new CoveError('driver-failed', `QEMU refuses ${command}: ${error.message}`, {}, { cause: error })
        }
        throw error
      })
      .finally(() => {
        signal.removeEventListener('abort', onAbort)
        this.#waiting.delete(id)
      })
  }

  /** The first event that fits, of those that came since the session began. */
  async event(fits: (event: QmpEvent) => boolean, signal: AbortSignal): Promise<QmpEvent> {
    const known = this.#events.find(fits)
    if (known !== undefined) return known
    if (this.#ended !== undefined) throw this.#ended
    if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
    const { promise, resolve, reject } = Promise.withResolvers<QmpEvent>()
    const onEvent = (event: QmpEvent) => {
      if (fits(event)) resolve(event)
    }
    const onAbort = () => reject(CoveError.from(signal.reason, 'cancelled'))
    this.#listeners.add(onEvent)
    this.#ends.add(reject)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#listeners.delete(onEvent)
      this.#ends.delete(reject)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stream.destroy()
    return Promise.resolve()
  }

  #take(chunk: Buffer): void {
    // What was there before has no end of a line in it.
    const begin = this.#rest.length
    this.#rest += chunk.toString('utf8')
    for (let end = this.#rest.indexOf('\n', begin); end !== -1; end = this.#rest.indexOf('\n')) {
      const line = this.#rest.slice(0, end)
      this.#rest = this.#rest.slice(end + 1)
      if (line.trim() !== '') this.#hear(line)
      if (this.#ended !== undefined) return
    }
    if (this.#rest.length > MAX_LINE) this.#break('QEMU says more than it may in one answer')
  }

  #hear(line: string): void {
    const message = recordOf(line)
    if (message === undefined) return this.#break('QEMU says what is no answer')
    const { id, event, data, error } = message
    if (typeof event === 'string') {
      const heard = { name: event, data: isRecord(data) ? data : {} }
      if (this.#events.length === MAX_EVENTS) this.#events.shift()
      this.#events.push(heard)
      for (const listener of this.#listeners) listener(heard)
      return
    }
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined
    if (error === undefined) return waiting?.resolve(message['return'])
    const text = isRecord(error) && typeof error['desc'] === 'string' ? error['desc'].slice(0, 500) : 'no reason'
    waiting?.reject(new RefusedCommand(text))
  }

  #break(what: string): void {
    this.#end(new CoveError('driver-failed', what))
    this.#stream.destroy()
  }

  #end(error: CoveError): void {
    if (this.#ended !== undefined) return
    this.#ended = error
    for (const waiting of this.#waiting.values()) waiting.reject(error)
    for (const reject of this.#ends) reject(error)
    this.#rest = ''
  }
}

class RefusedCommand extends Error {}

const ended = (cause?: Error) =>
  new CoveError('guest-unreachable', 'the connection to QEMU has ended', {}, cause === undefined ? {} : { cause })

function firstLine(stream: Duplex): Promise<{ readonly line: string; readonly rest: string }> {
  return new Promise((resolve, reject) => {
    let text = ''
    const done = () => {
      stream.off('data', onData)
      stream.off('close', onClose)
      stream.off('error', onClose)
    }
    const onClose = (cause?: Error) => {
      done()
      reject(ended(cause))
    }
    const onData = (chunk: Buffer) => {
      text += chunk.toString('utf8')
      const end = text.indexOf('\n')
      if (end === -1 && text.length <= MAX_LINE) return
      done()
      stream.pause()
      if (end === -1) reject(new CoveError('driver-failed', 'QEMU does not greet'))
      else resolve({ line: text.slice(0, end), rest: text.slice(end + 1) })
    }
    stream.on('data', onData)
    stream.on('close', onClose)
    stream.on('error', onClose)
  })
}

function greetingOf(line: string): QmpGreeting {
  const qmp = recordOf(line)?.['QMP']
  const version = isRecord(qmp) ? qmp['version'] : undefined
  const qemu = isRecord(version) ? version['qemu'] : undefined
  if (!isRecord(qemu)) throw new CoveError('driver-failed', 'QEMU does not greet')
  return { version: [qemu['major'], qemu['minor'], qemu['micro']].map(Number).join('.') }
}

function recordOf(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
