import { CoveError, type Sandbox } from '@cove/domain'
import type { Scope } from '../auth/principal.ts'
import { matches, sees, type Filter } from './query.ts'
import type { SandboxView } from './view.ts'

export type WatchEvent =
  | { readonly type: 'changed'; readonly sandbox: Sandbox }
  /** Everything that was there at the start has been told. */
  | { readonly type: 'synced' }

/** Changes that may wait for a slow reader before it is told to begin anew. */
const BACKLOG = 10_000

/**
 * First every sandbox of the project that matches, oldest first, then every change, none missed. A sandbox that
 * has matched stays watched until it is deleted. A reader that falls too far behind ends with `limit-reached`.
 */
export async function* watchSandboxes(
  view: SandboxView,
  scope: Scope,
  filter: Filter,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent> {
  signal.throwIfAborted()
  const told = new Set<string>()
  const queue: WatchEvent[] = []
  let wake: (() => void) | undefined
  let behind = false

  const consider = (sandbox: Sandbox): void => {
    const { id } = sandbox.spec
    if (!sees(scope, sandbox.spec) || (!told.has(id) && !matches(sandbox, filter))) return
    if (sandbox.status.state === 'deleted') told.delete(id)
    else told.add(id)
    if (queue.length >= BACKLOG) behind = true
    else queue.push({ type: 'changed', sandbox })
    wake?.()
  }
  const present = [...view.newestFirst()].filter(({ spec }) => sees(scope, spec)).toReversed()
  const initial = present.filter((sandbox) => matches(sandbox, filter))
  for (const { spec } of initial) told.add(spec.id)
  const stop = view.listen(consider)
  const onAbort = (): void => wake?.()
  signal.addEventListener('abort', onAbort)
  try {
    for (const sandbox of initial) yield { type: 'changed', sandbox }
    yield { type: 'synced' }
    for (;;) {
      signal.throwIfAborted()
      if (behind)
        throw new CoveError('limit-reached', 'the reader of this watch is too slow', {}, { fix: 'Watch again.' })
      const events = queue.splice(0)
      yield* events
      if (queue.length > 0 || behind) continue
      await new Promise<void>((resolve) => {
        wake = resolve
        if (signal.aborted) resolve()
      })
      wake = undefined
    }
  } finally {
    stop()
    signal.removeEventListener('abort', onAbort)
  }
}
