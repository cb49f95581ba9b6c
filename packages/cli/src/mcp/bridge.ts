import type { IncomingMessage } from 'node:http'
import { CoveError } from '@cove/domain'
import { eventData } from './event-data.ts'
import { BROKEN, HttpPost, Unreachable, type Endpoint } from './http-post.ts'
import { errorMessage, readMessage, type Message, type MessageId } from './message.ts'
import { headersFor, type Session } from './session.ts'

interface BridgeOptions {
  /** Where the daemon is now; asked again when it is not there any more. */
  readonly find: () => Promise<Endpoint>
  /** Writes one line; resolves when there is room for more. */
  readonly write: (line: string) => Promise<void>
}

interface Flight {
  readonly controller: AbortController
  readonly isModern: boolean
  /** Settles when the server has taken the request, or nobody has. */
  readonly taken: PromiseWithResolvers<void>
}

const ANSWER_BYTES = 64 * 1024 * 1024
/** Messages on their way at the same time; no more are to be taken until one has arrived. */
const AT_ONCE = 256

/** Carries messages between a client on stdio and the daemon's door, whichever revision the client speaks. */
export class Bridge implements AsyncDisposable {
  readonly #options: BridgeOptions
  readonly #http = new HttpPost()
  readonly #flights = new Map<MessageId, Flight>()
  readonly #working = new Set<Promise<void>>()
  readonly #ended = new AbortController()
  #endpoint: Endpoint | undefined
  #session: Session | undefined
  #reopening: Promise<void> | undefined
  /** Settles when `initialize` is answered: what a client sends before that waits for its session. */
  #opening: Promise<void> | undefined

  constructor(options: BridgeOptions) {
    this.#options = options
  }

  /** Sends a message on; what it is answered with is written when it comes. Never throws. */
  take(line: string): void {
    const message = readMessage(line)
    const work = message === undefined ? this.#refuse() : this.#carry(message)
    this.#working.add(work)
    void work.finally(() => this.#working.delete(work))
  }

  get isFull(): boolean {
    return this.#working.size >= AT_ONCE
  }

  /** Resolves when one of the messages that are on their way has arrived. */
  async room(): Promise<void> {
    await Promise.race(this.#working)
  }

  /** Resolves when everything is answered that was asked, or after `ms` milliseconds. */
  async settle(ms: number): Promise<void> {
    const late = Promise.withResolvers<void>()
    const timer = setTimeout(late.resolve, ms)
    await Promise.race([Promise.allSettled(this.#working), late.promise])
    clearTimeout(timer)
  }

  /** Gives up what is not answered yet, and lets go of the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new CoveError('cancelled', 'the client has gone'))
    const { id, revision } = this.#session ?? {}
    if (id !== undefined && this.#endpoint !== undefined) {
      const headers = { 'mcp-session-id': id, ...(revision === undefined ? {} : { 'mcp-protocol-version': revision }) }
      try {
        const answer = await this.#http.send(this.#endpoint, 'DELETE', headers, '', AbortSignal.timeout(1_000))
        answer.resume()
      } catch {
        // The daemon forgets it by itself.
      }
    }
    await Promise.allSettled(this.#working)
    this.#http[Symbol.dispose]()
  }

  #refuse(): Promise<void> {
    const error = new CoveError('invalid-argument', 'the line is not JSON', {}, { fix: 'Write one message per line.' })
    return this.#options.write(errorMessage(null, error, -32_700))
  }

  async #carry(message: Message): Promise<void> {
    const { method, id, cancels } = message
    if (method === undefined || id === undefined) {
      const cancelled = cancels === undefined ? undefined : this.#flights.get(cancels)
      if (cancelled?.isModern === true) {
        // Newer revisions cancel by leaving the answer.
        cancelled.controller.abort(new CoveError('cancelled', 'the client has cancelled'))
        return
      }
      // What follows a request must not overtake it.
      await Promise.all([...this.#flights.values()].map(({ taken }) => taken.promise))
      await this.#deliver(message, this.#ended.signal).catch(() => undefined)
      return
    }
    const controller = new AbortController()
    const isModern = message.revision !== undefined
    const flight = { controller, isModern, taken: Promise.withResolvers<void>() }
    this.#flights.set(id, flight)
    try {
      await this.#deliver(message, AbortSignal.any([controller.signal, this.#ended.signal]), flight.taken.resolve)
    } catch (thrown) {
      if (!controller.signal.aborted && !this.#ended.signal.aborted) {
        await this.#options.write(errorMessage(id, thrown))
      }
    } finally {
      flight.taken.resolve()
      this.#flights.delete(id)
    }
  }

  async #deliver(message: Message, signal: AbortSignal, taken?: () => void): Promise<void> {
    if (message.method === 'initialize') return this.#open(message, signal, taken)
    if (message.revision === undefined) await Promise.all([this.#opening, this.#reopening])
    const session = this.#session
    let answer = await this.#post(message, signal)
    if (answer.statusCode === 404 && message.revision === undefined && session?.id !== undefined) {
      answer.resume()
      await this.#reopen(session, session.id, signal)
      answer = await this.#post(message, signal)
    }
    taken?.()
    await this.#relay(message, answer)
  }

  async #open(message: Message, signal: AbortSignal, taken?: () => void): Promise<void> {
    this.#session = { initialize: message, id: undefined, revision: undefined }
    const opened = Promise.withResolvers<void>()
    this.#opening = opened.promise
    try {
      const answer = await this.#post(message, signal)
      taken?.()
      await this.#relay(message, answer)
    } finally {
      opened.resolve()
    }
  }

  /** The daemon has forgotten the session: opens it anew, once for all that notice. */
  async #reopen(session: Session, lost: string, signal: AbortSignal): Promise<void> {
    if (session.id !== lost) return
    this.#reopening ??= this.#openAgain(session, signal).finally(() => (this.#reopening = undefined))
    await this.#reopening
  }

  async #openAgain(session: Session, signal: AbortSignal): Promise<void> {
    const answer = await this.#post(session.initialize, signal)
    for await (const line of messagesOf(answer)) this.#remember(session, answer, line)
    const text = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })
    const answered = await this.#post({ text, method: 'notifications/initialized' }, signal)
    answered.resume()
  }

  async #post(message: Message, signal: AbortSignal): Promise<IncomingMessage> {
    for (let attempt = 0; ; attempt++) {
      this.#endpoint ??= await this.#options.find()
      const headers = headersFor(message, this.#session)
      try {
        const once = message.method === 'tools/call'
        return await this.#http.send(this.#endpoint, 'POST', headers, message.text, signal, once)
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error
        const { url } = this.#endpoint
        // A daemon that was started anew may have another address.
        this.#endpoint = undefined
        if (attempt === 0) continue
        throw new CoveError('daemon-not-running', `Cove cannot be reached at ${url}`, { url }, { cause: error })
      }
    }
  }

  async #relay(message: Message, answer: IncomingMessage): Promise<void> {
    const { id, method } = message
    const isRequest = method !== undefined && id !== undefined
    // Batches, and what is no message at all: what the server says to them is for the client.
    const isOther = method === undefined && id === undefined
    const isOk = answer.statusCode !== undefined && answer.statusCode < 300
    let answered = false
    for await (const line of messagesOf(answer)) {
      const told = readMessage(line)
      if (told === undefined) break
      if (told.method === undefined && told.id === undefined && !isOk) {
        if (isRequest) throw refusal(answer, line)
        if (isOther) await this.#options.write(errorMessage(null, refusal(answer, line), -32_600))
        return
      }
      if (told.method === undefined && told.id === id) answered = true
      if (method === 'initialize' && this.#session?.initialize === message) {
        this.#remember(this.#session, answer, line)
      }
      if (isRequest || isOther || told.method !== undefined) await this.#options.write(told.text.replaceAll('\n', ' '))
    }
    if (!isRequest || answered) return
    if (!isOk) throw refusal(answer, '')
    throw new CoveError('connection-lost', BROKEN)
  }

  #remember(session: Session, answer: IncomingMessage, line: string): void {
    const settled = readMessage(line)?.settled
    if (settled === undefined) return
    const id = answer.headers['mcp-session-id']
    session.revision = settled
    session.id = typeof id === 'string' ? id : undefined
  }
}

/** The messages of an answer: one in JSON, or those of a stream. */
async function* messagesOf(answer: IncomingMessage): AsyncGenerator<string> {
  const type = answer.headers['content-type'] ?? ''
  try {
    if (type.startsWith('text/event-stream')) {
      yield* eventData(answer)
      return
    }
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > ANSWER_BYTES) throw new CoveError('payload-too-large', 'the answer is too large')
      chunks.push(chunk)
    }
    const text = Buffer.concat(chunks).toString('utf8').trim()
    if (text !== '') yield text
  } catch (cause) {
    if (cause instanceof CoveError) throw cause
    throw new CoveError('connection-lost', BROKEN, {}, { cause })
  }
}

/** What the server said instead of an answer to the message: its own error, or one in JSON-RPC without an id. */
function refusal({ statusCode }: IncomingMessage, text: string): CoveError {
  try {
    const body = JSON.parse(text) as Partial<Record<'code' | 'message' | 'fix', unknown>> & {
      error?: { message?: unknown; data?: { code?: unknown; fix?: unknown } }
    }
    const code = body.code ?? body.error?.data?.code
    const message = body.message ?? body.error?.message
    const fix = body.fix ?? body.error?.data?.fix
    if (typeof message === 'string') {
      const known = typeof code === 'string' ? code : (statusCode ?? 500) < 500 ? 'invalid-argument' : 'internal'
      return CoveError.fromWire(known, message, {}, typeof fix === 'string' ? fix : undefined)
    }
  } catch {
    // Not from Cove.
  }
  return new CoveError('connection-lost', `the server answered with status ${statusCode ?? 0}`)
}
