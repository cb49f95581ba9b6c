import type { Exit } from '@cove/domain'

const SIGKILL = 9
const LAST_SIGNAL = 64

/** What an engine tells of a container that has ended. */
export interface Ending {
  readonly exitCode: number | undefined
  /** Something in the container was killed for memory, its first process or another. */
  readonly outOfMemory: boolean
  /** Somebody asked the engine to kill it. */
  readonly killed: boolean
}

/**
 * An engine tells a signal as 128 and its number, like a shell. The agent never ends with a code above 128, so such a
 * code is a signal; 255 is what engines say when they do not know.
 */
export function exitOf({ exitCode, outOfMemory, killed }: Ending): Exit {
  if (exitCode === undefined || exitCode < 0) return { kind: 'lost' }
  if (exitCode <= 128) return { kind: 'exited', code: exitCode }
  const signal = exitCode - 128
  if (signal > LAST_SIGNAL) return { kind: 'lost' }
  if (signal === SIGKILL && outOfMemory && !killed) return { kind: 'out-of-memory' }
  return { kind: 'signaled', signal }
}
