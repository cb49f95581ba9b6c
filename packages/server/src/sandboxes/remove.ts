import { CoveError, type EndReason, type Sandbox, type SandboxId } from '@cove/domain'
import type { Core } from './core.ts'
import { endedError } from './ledger.ts'

/**
 * Ends a sandbox from whatever state it is in and leaves a tombstone. Asked for twice it happens once, and
 * ended ones stay ended. What had ended the sandbox before (a crash, say) stays its reason. When the node fails,
 * the sandbox stays `deleting`, the caller hears why, and it is tried again later.
 */
export function remove(core: Core, id: SandboxId, reason: EndReason, message?: string): Promise<Sandbox> {
  return core.operations.run('remove', id, async () => {
    const before = core.view.sandbox(id)
    if (before === undefined) throw endedError(id, undefined)
    if (before.status.state === 'deleted') return before
    // One that ends by itself can wait for room, and is spared when it is used meanwhile.
    const onFullDisk = async <T>(write: () => Promise<T>): Promise<T> =>
      reason === 'deleted' ? makingRoom(write, () => endMachine(core, id)) : write()
    if (before.status.state !== 'deleting') {
      const begin = () =>
        core.ledger.transition(id, 'deleting', ({ status }) => ({
          reason: status.reason ?? reason,
          ...(message === undefined || status.reason !== undefined ? {} : { message }),
        }))
      await onFullDisk(begin)
    }
    try {
      await onFullDisk(() => endMachine(core, id))
      const buried = await core.ledger.bury(id)
      core.activity.forget(id)
      return buried
    } catch (error) {
      // Another server was faster.
      const ended = core.view.sandbox(id)
      if (ended?.status.state === 'deleted') return ended
      core.removalFailed(id)
      throw CoveError.from(error, 'driver-failed')
    }
  })
}

async function endMachine(core: Core, id: SandboxId): Promise<void> {
  await core.operations.abort('make', id, new CoveError('cancelled', `sandbox ${id} is being deleted`))
  await core.node.destroy(id)
}

/**
 * What fills a disk is often the sandbox that is to be deleted, and then there is no room to write that down first.
 * A node removes machine and disk even when it cannot forget them, so after `makeRoom` there is room for another try.
 */
async function makingRoom<T>(write: () => Promise<T>, makeRoom: () => Promise<void>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (CoveError.from(error).code !== 'no-space') throw error
    await makeRoom().catch(() => {})
    return write()
  }
}
