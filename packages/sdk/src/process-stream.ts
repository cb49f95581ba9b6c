import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import { StartProcessRequestSchema, type CommandSchema } from '@cove/api'
import { CoveError, type AttachFrom, type ProcessEvent } from '@cove/domain'
import { processEvent, processInfo } from './convert/process.ts'
import type { ProcessInfo } from './process-info.ts'
import { eventFrames, EVENTS_TYPE, type EventFrame } from './wire/event-frames.ts'
import { aborted } from './wire/failures.ts'
import type { HttpRequest } from './wire/http.ts'
import { comesBack, Reconnect } from './wire/reconnect.ts'
import type { Rpc } from './wire/rpc.ts'
import { noticingSilence } from './wire/silence.ts'

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
  /** True when one that is there already, with the same words, is as good as a new one. */
  readonly takeExisting?: boolean
}

export type StreamItem = { readonly type: 'started'; readonly info: ProcessInfo } | ProcessEvent

/**
 * The events of one process, each byte once and in order, whatever happens to the connection: after a drop it attaches
 * again where it was. Begins with `started`, ends after `exit`.
 */
export async function* processStream(rpc: Rpc, source: ProcessSource, signal: AbortSignal): AsyncGenerator<StreamItem> {
  const line = new Reconnect(rpc.parts, signal)
  let starting = source.command !== undefined
  let maybeStarted = source.maybeStarted ?? false
  let found = false
  let told = false
  let ended = false
  let next: number | undefined
  for (;;) {
    try {
      line.begin()
      const open = (both: AbortSignal) => frames(rpc, requestFor(source, starting, next), both)
      for await (const frame of noticingSilence(rpc.parts, signal, open)) {
        if (frame.kind === 'event' && frame.event.event.case === 'started') {
          const info = processInfo(frame.event.event.value)
          if (found) checkSame(info, source)
          if (next === undefined) next = starting ? 0 : source.from === 'now' ? info.outputTo : source.from
          starting = false
          if (!told) yield { type: 'started', info }
          told = true
          continue
        }
        const event = unseen(eventOf(frame), next ?? 0)
        if (event === undefined) continue
        line.moved()
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
      if (starting && error.code === 'already-exists' && (maybeStarted || source.takeExisting === true)) {
        starting = false
        found = true
        next = 0
        continue
      }
      const again = found && !told && !starting && error.code === 'process-not-found'
      if (again) starting = true
      // Nothing was sent to a server that does not answer; one that breaks off may have started the process.
      if (error.code !== 'daemon-not-running') maybeStarted = true
      await line.failed(error, told ? rpc.reconnect : rpc.policy, (one) => again || comesBack(one))
    }
  }
}

async function* frames(rpc: Rpc, request: HttpRequest, signal: AbortSignal): AsyncGenerator<EventFrame> {
  const response = await rpc.exchange({ ...request, signal }, EVENTS_TYPE)
  yield* eventFrames(response.body)
}

/** A process that was found under the id of the one to start must be that one, as far as can be seen. */
function checkSame(info: ProcessInfo, { id, command }: ProcessSource): void {
  const argv = command?.argv
  if (argv === undefined || (argv.length === info.argv.length && argv.every((word, at) => word === info.argv[at]))) {
    return
  }
  throw new CoveError(
    'already-exists',
    `the id ${id} belongs to another command`,
    { process: id },
    { fix: 'Use another id.' },
  )
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
