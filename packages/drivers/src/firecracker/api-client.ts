import { once } from 'node:events'
import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { CoveError, type ErrorCode } from '@cove/domain'
import { factsOf, type AnswerOf, type BodyOf, type CallName } from './api-contract.ts'
import { isObject, problemOf } from './api-rules.ts'
import { SHAPES } from './api-shapes.ts'

export interface CallOptions {
  readonly signal?: AbortSignal
  /** How long the answer may take, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number
}

/** What Firecracker takes at most, unless it is told otherwise when it starts. */
export const MAX_BODY_BYTES = 51_200
/** Its own answers are a few KiB. */
const MAX_ANSWER_BYTES = 1024 * 1024
const TIMEOUT_MS = 10_000
const POLL_MS = 2

/**
 * The API of one Firecracker process, over its unix socket. Calls are sent one after the other, in the order in which
 * they are made, as Firecracker carries them out. What its description does not allow is not sent, and an answer that
 * it does not describe is an error, `driver-failed`, as is a process that does not answer in time.
 */
export class FirecrackerApi {
  readonly #socketPath: string
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 })

  constructor(socketPath: string) {
    this.#socketPath = socketPath
  }

  async call<Name extends CallName>(
    name: Name,
    ...[body, options = {}]: BodyOf<Name> extends undefined
      ? [body?: undefined, options?: CallOptions]
      : [body: BodyOf<Name>, options?: CallOptions]
  ): Promise<AnswerOf<Name>> {
    const text = bodyText(name, body)
    const { signal, timeoutMs = TIMEOUT_MS } = options
    const limit = AbortSignal.timeout(timeoutMs)
    const both = signal === undefined ? limit : AbortSignal.any([signal, limit])
    try {
      const { status, said } = await this.#exchange(name, pathOf(name, body), text, both)
      if (status !== 200 && status !== 204) throw refusal(name, status, said)
      // Checked to be what the contract says.
      return answerOf(name, status, said) as AnswerOf<Name>
    } catch (error) {
      if (error instanceof CoveError) throw error
      if (signal?.aborted === true) throw CoveError.from(signal.reason, 'cancelled')
      const why = limit.aborted ? `not within ${timeoutMs} ms` : error instanceof Error ? error.message : String(error)
      throw new CoveError(
        'driver-failed',
        `Firecracker does not answer to ${name}: ${why}`,
        {},
        { fix: FIX, cause: error },
      )
    }
  }

  /**
   * Waits until it listens, and answers which version it is. `driver-failed` when it ends before, or does not within
   * ten seconds.
   */
  async ready(ended: Promise<unknown>, signal?: AbortSignal): Promise<string> {
    let over = false
    const end = (async () => {
      await ended
      over = true
    })()
    for (const until = performance.now() + TIMEOUT_MS; ;) {
      try {
        const options = signal === undefined ? {} : { signal }
        return (await this.call('GET /version', undefined, options)).firecracker_version
      } catch (error) {
        if (over) throw new CoveError('driver-failed', 'Firecracker has ended before it listened', {}, { cause: error })
        if (!isAbsent(error) || performance.now() > until) throw error
      }
      await Promise.race([delay(POLL_MS), end])
    }
  }

  async #exchange(
    name: CallName,
    path: string,
    text: string | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly said: string }> {
    signal.throwIfAborted()
    const sent = httpRequest({
      agent: this.#agent,
      socketPath: this.#socketPath,
      method: name.split(' ', 1).join(''),
      path,
      headers: {
        host: 'localhost',
        accept: 'application/json',
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      },
      signal,
    })
    sent.end(text)
    const answer = await answered(sent)
    return { status: answer.statusCode ?? 0, said: await readText(answer) }
  }

  close(): void {
    this.#agent.destroy()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

const FIX = "Look at the daemon's log; the machine's console and Firecracker's own log say more."

/** Nobody listens at its socket yet. */
function isAbsent(error: unknown): boolean {
  const cause = error instanceof CoveError ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED')
}

async function answered(sent: ClientRequest): Promise<IncomingMessage> {
  try {
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    return answer
  } finally {
    // Whatever breaks later reaches the reader of the body.
    sent.on('error', () => undefined)
  }
}

/** Fields in braces are those of the body; what is in there has been checked. */
function pathOf(name: CallName, body: unknown): string {
  const [, pattern = ''] = name.split(' ')
  return pattern.replace(/\{(\w+)\}/, (_, field: string) => {
    const id = isObject(body) ? body[field] : undefined
    if (typeof id !== 'string' || !/^\w+$/.test(id)) {
      throw new CoveError('invalid-argument', `${name}: ${field} may have letters, digits and underscores only`, {
        field,
      })
    }
    return id
  })
}

function bodyText(name: CallName, body: unknown): string | undefined {
  const { body: shape, optionalBody } = factsOf(name)
  if (shape === undefined || (body === undefined && optionalBody === true)) return undefined
  const problem = problemOf(SHAPES[shape], body)
  if (problem !== undefined) throw new CoveError('invalid-argument', `${name}: ${problem}`)
  const text = JSON.stringify(body)
  if (Buffer.byteLength(text) <= MAX_BODY_BYTES) return text
  throw new CoveError('invalid-argument', `${name}: the request has more than ${MAX_BODY_BYTES} bytes`)
}

function answerOf(name: CallName, status: number, said: string): unknown {
  const { answer: shape } = factsOf(name)
  if (shape === undefined) {
    if (status === 204 && said === '') return undefined
    throw unexpected(name, `it answered ${status} with ${said.length} bytes`)
  }
  if (status !== 200) throw unexpected(name, `it answered ${status}`)
  const value = parseJson(said)
  if (value === undefined) throw unexpected(name, 'the answer is no JSON')
  // A later version may tell more than this one knows of.
  const problem = problemOf(SHAPES[shape], value, 'the answer', 'lenient')
  if (problem !== undefined) throw unexpected(name, problem)
  return value
}

function unexpected(name: CallName, what: string): CoveError {
  return new CoveError('driver-failed', `Firecracker answers otherwise than its API says to ${name}: ${what}`)
}

/** What Firecracker says itself is kept: it knows best. */
function refusal(name: CallName, status: number, said: string): CoveError {
  const value = parseJson(said)
  const fault = isObject(value) && typeof value['fault_message'] === 'string' ? value['fault_message'] : undefined
  const sentence = fault?.trim().slice(0, MAX_SENTENCE) ?? `it answered ${status}`
  return new CoveError(codeOf(status, sentence), `Firecracker refuses ${name}: ${sentence}`, { status })
}

const MAX_SENTENCE = 500

function codeOf(status: number, sentence: string): ErrorCode {
  if (/no space left/i.test(sentence)) return 'no-space'
  return status === 400 && /not supported (?:before|after) starting/.test(sentence) ? 'wrong-state' : 'driver-failed'
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function readText(answer: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_ANSWER_BYTES) throw new Error(`the answer is larger than ${MAX_ANSWER_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
