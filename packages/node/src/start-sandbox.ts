import { CoveError, describeExit, type SandboxSpec } from '@cove/domain'
import type { GuestSession } from './guest-session.ts'
import type { NodeParts } from './node-parts.ts'
import { runStartCommand } from './start-command.ts'

/**
 * Brings what runs in a sandbox from its start on to where its ready check holds. Waits outside of the bound on creates,
 * since that may take as long as the template allows. Fails as `runStartCommand` does; nobody reaches the guest then.
 */
export async function startSandbox(
  parts: NodeParts,
  session: GuestSession,
  spec: SandboxSpec,
  progress: (step: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if (spec.start === undefined) return
  progress('waiting for the start command to be ready')
  try {
    await runStartCommand(parts, session.guest, spec.start, signal)
  } catch (error) {
    session.end(new CoveError('wrong-state', `sandbox ${spec.id} did not start`, { state: 'failed' }))
    if (session.exit === undefined || signal.aborted) throw error
    const message = `the machine ${describeExit(session.exit)} while its start command was awaited`
    throw new CoveError('start-failed', message, {}, { cause: error })
  }
}
