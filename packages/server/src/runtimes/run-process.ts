import { CoveError, type Clock, type Guest, type ProcessId, type ProcessStream, type StartProcess } from '@cove/domain'
import { OutputKeeper } from '../output-keeper.ts'
import type { CodeResult, OutputListener } from './runtimes.ts'

export interface RunOptions {
  readonly clock: Clock
  /** Bytes kept of each stream. */
  readonly maxOutputBytes: number
  readonly onOutput?: OutputListener
}

const SIGKILL = 9
/** For the last word to a process that nobody waits for. */
const FAREWELL_MS = 5_000

/**
 * Starts the first of the requests whose program exists, and waits for its end. When the signal aborts, or the output
 * cannot be followed any more, its whole group is killed.
 */
export async function runProcess(
  guest: Guest,
  requests: readonly StartProcess[],
  { clock, maxOutputBytes, onOutput }: RunOptions,
  signal: AbortSignal,
): Promise<CodeResult> {
  const stdout = new OutputKeeper(maxOutputBytes)
  const stderr = new OutputKeeper(maxOutputBytes)
  let started: ProcessId | undefined
  try {
    const { info, events } = await startFirst(guest, requests, signal, (id) => (started = id))
    const startedAt = clock.monotonic()
    for await (const event of events) {
      if (event.type === 'output') {
        const stream = event.stream === 'stderr' ? 'stderr' : 'stdout'
        ;(stream === 'stderr' ? stderr : stdout).push(event.data)
        onOutput?.(stream, event.data)
      }
      if (event.type !== 'exit') continue
      started = undefined
      return {
        stdout: { bytes: stdout.bytes(), omitted: stdout.omitted },
        stderr: { bytes: stderr.bytes(), omitted: stderr.omitted },
        exit: event.exit,
        timedOut: event.timedOut,
        durationMs: clock.monotonic() - startedAt,
      }
    }
    throw new CoveError('guest-unreachable', `the output of process ${info.id} broke off before its end`)
  } finally {
    if (started !== undefined) await kill(guest, started)
  }
}

async function startFirst(
  guest: Guest,
  requests: readonly StartProcess[],
  signal: AbortSignal,
  starting: (id: ProcessId) => void,
): Promise<ProcessStream> {
  let missing: unknown = new CoveError('internal', 'nothing was to be started')
  for (const request of requests) {
    // Whatever becomes of the answer, the guest may have started it.
    starting(request.id)
    try {
      return await guest.start(request, signal)
    } catch (error) {
      if (CoveError.from(error).code !== 'command-not-found') throw error
      missing = error
    }
  }
  throw missing
}

/**
 * Returns when it has ended, so that what comes next does not meet it. The signal of the caller does not count here: it
 * may be the reason. What is not there any more needs nothing.
 */
async function kill(guest: Guest, id: ProcessId): Promise<void> {
  const patience = AbortSignal.timeout(FAREWELL_MS)
  try {
    await guest.signal(id, SIGKILL, patience)
    const { events } = await guest.attach(id, 'now', patience)
    for await (const event of events) if (event.type === 'exit') return
  } catch {
    // It has ended, or cannot be reached: then its own timeout ends it.
  }
}
