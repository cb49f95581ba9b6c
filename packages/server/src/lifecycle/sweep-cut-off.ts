import { CoveError, type Clock, type Log } from '@cove/domain'

const EVERY_MS = 10 * 60_000

/** Removes what servers that died have begun and not finished: at the start, and now and then. Until the signal aborts. */
export async function sweepCutOff(
  sweeps: readonly (() => Promise<void>)[],
  clock: Clock,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    for (const sweep of sweeps) {
      await sweep().catch((error: unknown) => {
        log.warn('what was cut off could not be removed', { error: CoveError.from(error).message })
      })
    }
    await clock.sleep(EVERY_MS, signal).catch(() => undefined)
  }
}
