import { CoveError, describeExit, isRenamable, type NodeSandbox } from '@cove/domain'
import type { MachineWish } from './create-machine.ts'
import { destroySandbox, stopMachine } from './end-machine.ts'
import type { GuestSession } from './guest-session.ts'
import { hostnameOf, identityOf } from './identity.ts'
import { isEndedRecord, type LiveRecord } from './machine-record.ts'
import type { NodeParts } from './node-parts.ts'
import { describeRecord, type Slot } from './slot.ts'
import { startSandbox } from './start-sandbox.ts'

/** A create that was repeated. A machine that this daemon has not seen configured is configured again. */
export async function foundMachine(
  parts: NodeParts,
  slot: Slot,
  wish: MachineWish,
  signal: AbortSignal,
): Promise<NodeSandbox> {
  const { record } = slot
  if (record === undefined) throw new CoveError('internal', 'a machine was found without its record')
  if (isEndedRecord(record)) {
    const message = `the machine of incarnation ${record.incarnation} ${describeExit(record.exit)}`
    throw new CoveError(
      'driver-failed',
      message,
      { state: record.state, incarnation: record.incarnation },
      {
        fix: 'Create the next incarnation, or delete the sandbox.',
      },
    )
  }
  if (record.state === 'running') await parts.recoveries.wait(record.driver, signal)
  const { session } = slot
  if (session !== undefined && !session.configured) {
    try {
      await finish(parts, session, record, wish, signal)
    } catch (thrown) {
      await giveUp(parts, slot, record)
      throw CoveError.from(thrown, 'driver-failed')
    }
  }
  return describeRecord(record)
}

/** What a daemon that died in the middle of the create may not have come to. */
async function finish(
  parts: NodeParts,
  session: GuestSession,
  record: LiveRecord,
  wish: MachineWish,
  signal: AbortSignal,
): Promise<void> {
  const { spec } = wish
  const { machine } = session
  using lease = record.image === undefined ? undefined : await parts.images.lease(record.image)
  if (record.pooled === true && isRenamable(machine)) await machine.rename(hostnameOf(spec))
  await session.configure(identityOf(parts, spec, lease?.info.defaults ?? { env: {} }), signal)
  await startSandbox(parts, session, spec, wish.progress, signal)
}

/** Nothing of this incarnation stays; a disk that is older does. */
async function giveUp(parts: NodeParts, slot: Slot, record: LiveRecord): Promise<void> {
  try {
    if (record.incarnation === 1) await destroySandbox(parts, slot)
    else await stopMachine(parts, slot, record.incarnation, 0, slot.interrupted)
  } catch (thrown) {
    const { code, message } = CoveError.from(thrown)
    parts.log.warn('a sandbox that did not start was not removed', { sandbox: slot.id, code, error: message })
  }
}
