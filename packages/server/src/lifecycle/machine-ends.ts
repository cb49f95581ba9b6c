import { CoveError, describeExit, type EndReason, type Exit, type SandboxId, type SandboxState } from '@cove/domain'
import type { Core } from '../sandboxes/core.ts'

/** States in which a machine is supposed to be there. */
const HAS_MACHINE: ReadonlySet<SandboxState> = new Set(['running', 'pausing', 'paused', 'resuming'])

/**
 * A machine ended by itself: its sandbox has failed, and says how. What is left of it on the node is removed;
 * the record stays until it is deleted or has had its time.
 */
export async function machineEnded(core: Core, id: SandboxId, incarnation: number, exit: Exit): Promise<void> {
  const entry = core.view.entry(id)
  if (entry === undefined || entry.status.incarnation !== incarnation || !HAS_MACHINE.has(entry.status.state)) return
  await fail(core, id, reasonOf(exit), `its machine ${describeExit(exit)}`)
}

/** Marks as failed and frees what the node holds. */
export async function fail(core: Core, id: SandboxId, reason: EndReason, message: string): Promise<void> {
  core.log.warn('a sandbox has failed', { sandbox: id, reason, message })
  try {
    await core.ledger.transition(id, 'failed', () => ({ reason, message }))
    await core.node.destroy(id)
  } catch (error) {
    const { code, message: problem } = CoveError.from(error)
    // Deleted meanwhile is fine; what the node still holds goes with the deletion at the latest.
    if (code === 'sandbox-gone' || code === 'wrong-state') return
    core.outcomeLost()
    core.log.warn('a failed sandbox was not cleaned up', { sandbox: id, code, error: problem })
  }
}

function reasonOf(exit: Exit): EndReason {
  return exit.kind === 'out-of-memory' ? 'out-of-memory' : 'crashed'
}
