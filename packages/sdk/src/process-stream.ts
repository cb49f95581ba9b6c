import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import { StartProcessRequestSchema, type CommandSchema } from '@cove/api'
import { CoveError, type AttachFrom, type ErrorCode, type ProcessEvent } from '@cove/domain'
import { processEvent, processInfo } from './convert/process.ts'
import type { ProcessInfo } from './process-info.ts'
import { eventFrames, EVENTS_TYPE, type EventFrame } from './wire/event-frames.ts'
import { aborted } from './wire/failures.ts'
import type { HttpRequest } from './wire/http.ts'
import { retryDelay, type RetryPolicy } from './wire/retry.ts'
import type { Rpc } from './wire/rpc.ts'

export interface ProcessSource {
  readonly sandbox: string
  readonly id: string
  readonly incarnation: number
  /** What to start; absent: it has been started already. */
  readonly command?: MessageInitShape<typeof CommandSchema>
  /** Where to begin with a process that has been started already. */
  readonly from: AttachFrom
  /** True when an earlier call may have started it: then finding it there is no error. */
  readonly maybeStarted?: boolean
}

export type StreamItem = { readonly type: 'started'; readonly info: ProcessInfo } | ProcessEvent

/** Patience with a daemon that restarts: about 15 seconds, counted anew whenever something arrives. */
const RECONNECT: RetryPolicy = { attempts: 10, baseMs: 100, maxMs: 2000 }
/** The server sends something every 15 seconds; three of them missing means that the connection is dead. */
const SILENCE_MS = 45_000

const RECONNECTABLE: ReadonlySet<ErrorCode> = new Set([
  'connection-lost',
  'daemon-not-running',
  'guest-unreachable',
  'launcher-unavailable',
  'stale-session',
  'cancelled',
])

/**
 * The events of one process, each byte once and in order, whatever happens to the connection: after a drop it attaches
 * again where it was. Begins with `started`, ends after `exit`.
 */
export async function* processStream(rpc: Rpc, source: ProcessSource, signal: AbortSignal): AsyncGenerator<StreamItem> {
  let starting = source.command !== undefined
  let maybeStarted = source.maybeStarted ?? false
  let told = false
  let ended = false
  let next: number | undefined
  let failures = 0
  for (;;) {
    try {
      for await (const frame of connection(rpc, source, starting, next, signal)) {
        failures = 0
        if (frame.kind === 'event' && frame.event.event.case === 'started') {
          const info = processInfo(frame.event.event.value)
          if (next === undefined) next = starting ? 0 : source.from === 'now' ? info.outputTo : source.from
          starting = false
          if (!told) yield { type: 'started', info }
          told = true
          continue
        }
        const event = unseen(eventOf(frame), next ?? 0)
        if (event === undefined) continue
        if (event.type === 'output') next = event.offset + event.data.byteLength
        if (event.type === 'gap') next = event.to
        yield event
        // The server ends the stream now: read to its end, the connection can be used again.
        if (event.type === 'exit') ended = true
      }
      if (ended) return
      throw new CoveError('connection-lost', 'the stream ended before the process did')
    } catch (thrown) {
      if (ended) return
      const error = CoveError.from(thrown)
      if (signal.aborted) throw aborted(signal)
      if (starting && maybeStarted && error.code === 'already-exists') {
        starting = false
        next = 0
        continue
      }
      const again = source.command !== undefined && !told && !starting && error.code === 'process-not-found'
      if (again) starting = true
      else if (!RECONNECTABLE.has(error.code)) throw error
      // Nothing was sent to a server that does not answer; one that breaks off may have started the process.
      if (error.code !== 'daemon-not-running') maybeStarted = true
      const patience = told ? RECONNECT : rpc.policy
      if (failures >= patience.attempts) throw error
      await rpc.parts.clock.sleep(retryDelay(patience, failures, rpc.parts.chance(), error), signal).catch(() => {
        throw aborted(signal)
      })
      failures++
    }
  }
}

/** One connection's frames. Silence on it ends it; time that the reader takes does not count. */
async function* connection(
  rpc: Rpc,
  source: ProcessSource,
  starting: boolean,
  next: number | undefined,
  signal: AbortSignal,
): AsyncGenerator<EventFrame> {
  using watch = new SilenceWatch(rpc, signal)
  watch.begin()
  const response = await rpc.exchange({ ...requestFor(source, starting, next), signal: watch.signal })
  const frames = eventFrames(response.body)
  try {
    for (;;) {
      watch.begin()
      const frame = await frames.next()
      watch.end()
      if (frame.done === true) return
      yield frame.value
    }
  } finally {
    await frames.return(undefined).catch(() => {})
  }
}

function requestFor(source: ProcessSource, starting: boolean, next: number | undefined): HttpRequest {
  const { sandbox, id, incarnation, command } = source
  const base = `/v1/sandboxes/${encodeURIComponent(sandbox)}/processes`
  if (starting && command !== undefined) {
    const message = create(StartProcessRequestSchema, { incarnation, command: { ...command, processId: id } })
    const headers = { 'content-type': 'application/proto', accept: EVENTS_TYPE }
    return { method: 'POST', path: base, headers, body: toBinary(StartProcessRequestSchema, message) }
  }
  const query = new URLSearchParams()
  const from = next ?? source.from
  if (from !== 'now') query.set('offset', String(from))
  if (incarnation !== 0) query.set('incarnation', String(incarnation))
  const path = `${base}/${encodeURIComponent(id)}/output?${query.toString()}`
  return { method: 'GET', path, headers: { accept: EVENTS_TYPE } }
}

function eventOf(frame: EventFrame): ProcessEvent | undefined {
  if (frame.kind === 'event') return processEvent(frame.event)
  const { stream, offset, data } = frame
  return { type: 'output', stream, offset, data }
}

/** Cuts off what was told before the connection dropped. */
function unseen(event: ProcessEvent | undefined, next: number): ProcessEvent | undefined {
  if (event?.type === 'gap') return event.to <= next ? undefined : { ...event, from: Math.max(event.from, next) }
  if (event?.type !== 'output') return event
  const seen = next - event.offset
  if (seen <= 0) return event
  return seen >= event.data.byteLength ? undefined : { ...event, offset: next, data: event.data.subarray(seen) }
}

class SilenceWatch implements Disposable {
  readonly #controller = new AbortController()
  readonly #clock
  #waitingSince: number | undefined
  readonly signal: AbortSignal

  constructor(rpc: Rpc, signal: AbortSignal) {
    this.#clock = rpc.parts.clock
    this.signal = AbortSignal.any([signal, this.#controller.signal])
    void this.#watch()
  }

  begin(): void {
    this.#waitingSince = this.#clock.monotonic()
  }

  end(): void {
    this.#waitingSince = undefined
  }

  async #watch(): Promise<void> {
    while (!this.signal.aborted) {
      await this.#clock.sleep(SILENCE_MS / 3, this.signal).catch(() => {})
      const since = this.#waitingSince
      if (since !== undefined && this.#clock.monotonic() - since >= SILENCE_MS) {
        this.#controller.abort(new CoveError('connection-lost', `nothing arrived for ${SILENCE_MS / 1000} s`))
      }
    }
  }

  [Symbol.dispose](): void {
    this.#controller.abort(new CoveError('cancelled', 'the stream was left'))
  }
}
