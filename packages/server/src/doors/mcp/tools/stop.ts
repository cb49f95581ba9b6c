import { CoveError, type Exit, type Guest, type ProcessId } from '@cove/domain'

const SIGTERM = 15
const SIGKILL = 9
/** Milliseconds that the kernel gets for ending what was killed. */
const KILLED_WITHIN_MS = 10_000

interface Ended {
  readonly exit: Exit
  readonly timedOut: boolean
}

/** Asks the process's whole group to end, and kills it when it has not after the grace. */
export async function stop(guest: Guest, id: ProcessId, graceMs: number, signal: AbortSignal): Promise<Ended> {
  const leaving = new AbortController()
  const { info, events } = await guest.attach(id, 'now', AbortSignal.any([signal, leaving.signal]))
  try {
    if (info.exit !== undefined) return { exit: info.exit, timedOut: info.timedOut }
    const ended = exitOf(events)
    ended.catch(() => undefined)
    for (const [number, ms] of [
      [SIGTERM, graceMs],
      [SIGKILL, KILLED_WITHIN_MS],
    ] as const) {
      // It may have ended a moment ago; then its exit is on its way.
      await guest.signal(id, number, signal).catch((error: unknown) => {
        if (CoveError.from(error).code !== 'process-not-found') throw error
      })
      const exit = await within(ended, ms)
      if (exit !== undefined) return exit
    }
  } finally {
    leaving.abort()
  }
  throw new CoveError('deadline-exceeded', `process ${id} was killed and has not ended yet`, { process: id })
}

async function exitOf(events: AsyncIterable<{ type: string } | ({ type: 'exit' } & Ended)>): Promise<Ended> {
  for await (const event of events) if ('exit' in event) return event
  throw new CoveError('guest-unreachable', 'the process was lost from sight before its end')
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  const late = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => late.resolve(undefined), ms)
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
