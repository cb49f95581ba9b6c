import { CoveError, type Sandbox, type SandboxId } from '@cove/domain'
import type { Core } from './core.ts'
import { endedError } from './ledger.ts'
import { explainOvertaken, explainUnrecorded, make } from './make.ts'
import type { Entry } from './view.ts'

/**
 * Ends the machine and keeps the disk. A stopped one stays stopped, and one that is stopping already (another
 * call, or a restart in the middle) is brought to its end.
 */
export function stop(core: Core, id: SandboxId, graceMs: number): Promise<Sandbox> {
  return core.operations.run('stop', id, async () => {
    const entry = present(core, id)
    if (entry.status.state === 'stopped') return entry
    if (entry.status.state !== 'stopping') await core.ledger.transition(id, 'stopping')
    try {
      await core.node.stop(id, entry.status.incarnation, graceMs)
    } catch (error) {
      const cause = CoveError.from(error, 'driver-failed')
      const message = `stop failed: ${cause.message}`
      if (core.view.entry(id)?.status.state === 'stopping') {
        await core.ledger.transition(id, 'failed', () => ({ reason: 'crashed', message }))
      }
      throw explainOvertaken(core, id, cause)
    }
    try {
      return await core.ledger.transition(id, 'stopped')
    } catch (error) {
      throw explainUnrecorded(core, id, error)
    }
  })
}

/** Makes a stopped sandbox anew on its disk: the next incarnation. A running one is an answer, not an error. */
export function start(core: Core, id: SandboxId): Promise<Sandbox> {
  return core.operations.run('start', id, async () => {
    const { state } = present(core, id).status
    if (state === 'running') return present(core, id)
    if (state !== 'creating' && state !== 'stopped') {
      throw new CoveError('wrong-state', `sandbox ${id} is ${state}; only a stopped one can be started`, {
        sandbox: id,
        state,
      })
    }
    if (state === 'stopped') {
      await core.ledger.transition(id, 'creating', ({ status }) => ({ incarnation: status.incarnation + 1 }))
    }
    return make(core, id)
  })
}

function present(core: Core, id: SandboxId): Entry {
  const entry = core.view.entry(id)
  if (entry === undefined) throw endedError(id, core.view.sandbox(id))
  return entry
}
