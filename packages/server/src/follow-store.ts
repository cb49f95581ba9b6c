import { CoveError, type Clock, type Log, type Store, type WatchBatch } from '@cove/domain'

export interface Followed {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly prefix: string
  /** For people: what is followed. */
  readonly what: string
  readonly apply: (batch: WatchBatch) => void
  /** Reads everything anew, for when the store has forgotten what was missed; answers with the revision. */
  readonly load: () => Promise<number>
}

const PAUSE_MS = 1_000

/** Follows what other servers write behind the revision that was loaded, until the signal aborts. Never rejects. */
export async function followStore(followed: Followed, loaded: number, signal: AbortSignal): Promise<void> {
  const { store, clock, log, prefix, what, apply, load } = followed
  let fromRevision: number | undefined = loaded + 1
  while (!signal.aborted) {
    try {
      fromRevision ??= (await load()) + 1
      for await (const batch of store.watch({ prefix, fromRevision, signal })) {
        apply(batch)
        fromRevision = batch.revision + 1
      }
    } catch (error) {
      if (signal.aborted) return
      const { code, message } = CoveError.from(error)
      log.warn(`the watch on ${what} broke`, { code, error: message })
      if (code === 'store-compacted') fromRevision = undefined
    }
    await clock.sleep(PAUSE_MS, signal).catch(() => undefined)
  }
}
