import type { Exit } from '@cove/domain'

const SIGKILL = 9

/**
 * The tool waits for the machine's first process and ends as a shell would: with its code, or with 128 and the signal.
 * The agent itself never ends with a code above 128, so such a code is a signal.
 */
export async function machineExit(exit: Exit, oomKills: () => Promise<number>): Promise<Exit> {
  if (exit.kind !== 'exited' || exit.code <= 128) return exit
  const signal = exit.code - 128
  if (signal === SIGKILL && (await oomKills()) > 0) return { kind: 'out-of-memory' }
  return { kind: 'signaled', signal }
}
