import {
  CoveError,
  describeExit,
  newProcessId,
  parseProcessId,
  type Clock,
  type Exit,
  type Guest,
  type ProcessId,
  type ProcessStream,
  type Random,
  type ReadyCheck,
  type StartCommand,
} from '@cove/domain'
import { abortable, anySignal, throwIfAborted, withDeadline } from './wait.ts'

/** The process that a template starts in every sandbox. */
export const START_ID: ProcessId = parseProcessId('start')

const FIRST_PAUSE_MS = 25
const LONGEST_PAUSE_MS = 1_000
/** Milliseconds for one try of a ready command or one dial. */
const TRY_MS = 10_000
/** Bytes of output that are told when it does not become ready. */
const TAIL_BYTES = 2_000

export interface StartParts {
  readonly clock: Clock
  readonly random: Random
}

/**
 * Runs a template's start command as a background process and resolves when its ready check holds. `start-failed` with
 * the reason and the last output when it ends too early or not in time; what has been started goes on then until its
 * machine ends. A repeated call finds the process that is there.
 */
export async function runStartCommand(
  parts: StartParts,
  guest: Guest,
  start: StartCommand,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController()
  const watched = anySignal(signal, over.signal)
  const process = new Watched()
  try {
    process.follow(await startOrFind(guest, start, watched))
    const { ready } = start
    if (ready !== undefined) await untilReady(parts, guest, ready, process, signal)
    else if (process.failed !== undefined) throw ended(start, process)
  } catch (thrown) {
    throwIfAborted(signal)
    if (process.failed !== undefined) throw ended(start, process)
    const error = CoveError.from(thrown)
    if (error.code !== 'deadline-exceeded') throw error
    throw failed(`${shown(start.argv)} was not ready in ${start.ready?.timeoutMs} ms`, process, error)
  } finally {
    over.abort()
  }
}

async function startOrFind(guest: Guest, start: StartCommand, signal: AbortSignal): Promise<ProcessStream> {
  try {
    return await guest.start({ id: START_ID, argv: start.argv, env: {} }, signal)
  } catch (thrown) {
    const error = CoveError.from(thrown)
    if (error.code === 'already-exists') return await guest.attach(START_ID, 0, signal)
    if (error.code === 'command-not-found' || error.code === 'user-not-found') {
      throw new CoveError(
        'start-failed',
        `${shown(start.argv)} cannot be started: ${error.message}`,
        {},
        { cause: error },
      )
    }
    throw error
  }
}

async function untilReady(
  parts: StartParts,
  guest: Guest,
  ready: ReadyCheck,
  process: Watched,
  signal: AbortSignal,
): Promise<void> {
  await withDeadline(parts.clock, ready.timeoutMs, 'the ready check', signal, async (limited) => {
    const early = anySignal(limited, process.early)
    let pause = FIRST_PAUSE_MS
    for (;;) {
      throwIfAborted(early)
      if (await holds(parts, guest, ready, early)) return
      await abortable(parts.clock.sleep(pause, early), early)
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
    }
  })
}

async function holds(parts: StartParts, guest: Guest, ready: ReadyCheck, signal: AbortSignal): Promise<boolean> {
  try {
    if (ready.kind === 'port') {
      const stream = await withDeadline(parts.clock, TRY_MS, 'a dial', signal, (limited) =>
        guest.dial({ kind: 'tcp', port: ready.port }, limited),
      )
      stream.on('error', () => {})
      stream.destroy()
      return true
    }
    const id = newProcessId(parts.random)
    const { events } = await guest.start({ id, argv: ready.argv, env: {}, timeoutMs: TRY_MS }, signal)
    for await (const event of events) {
      if (event.type === 'exit') return event.exit.kind === 'exited' && event.exit.code === 0
    }
    return false
  } catch (thrown) {
    throwIfAborted(signal)
    const { code } = CoveError.from(thrown)
    // Not there yet, or too busy to answer in time: both are for the deadline of the whole check.
    if (code === 'connection-refused' || code === 'deadline-exceeded' || code === 'command-not-found') return false
    throw thrown
  }
}

/** What the start command has said last, and whether it has failed. */
class Watched {
  readonly #early = new AbortController()
  #tail = Buffer.alloc(0)
  #exit: Exit | undefined

  /** Aborts when it has ended otherwise than with 0: what goes to the background by itself is no failure. */
  get early(): AbortSignal {
    return this.#early.signal
  }

  get failed(): Exit | undefined {
    return this.#early.signal.aborted ? this.#exit : undefined
  }

  get tail(): string {
    return this.#tail
      .toString('utf8')
      .replace(/^\uFFFD+/, '')
      .trim()
  }

  follow({ events }: ProcessStream): void {
    const read = async (): Promise<void> => {
      for await (const event of events) {
        if (event.type === 'output') {
          this.#tail = Buffer.concat([this.#tail, event.data]).subarray(-TAIL_BYTES)
        } else if (event.type === 'exit') {
          this.#exit = event.exit
          if (event.exit.kind !== 'exited' || event.exit.code !== 0) {
            this.#early.abort(new CoveError('start-failed', 'the start command has ended'))
          }
        }
      }
    }
    read().catch(() => {})
  }
}

function ended(start: StartCommand, process: Watched): CoveError {
  const exit = process.failed
  const how = exit === undefined ? 'ended' : describeExit(exit)
  return failed(`${shown(start.argv)} ${how} before it was ready`, process)
}

function failed(what: string, process: Watched, cause?: CoveError): CoveError {
  const { tail } = process
  const last = tail === '' ? 'it has said nothing' : `it has said last:\n${tail}`
  return new CoveError('start-failed', `the start command ${what}; ${last}`, {}, cause === undefined ? {} : { cause })
}

function shown(argv: readonly string[]): string {
  const text = argv.join(' ').replaceAll(/\p{Cc}+/gu, ' ')
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}
