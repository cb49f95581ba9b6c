import { CoveError, isRenamable, type SandboxSpec } from '@cove/domain'
import type { Ground } from '../ground.ts'
import type { GuestSession } from '../guest-session.ts'
import { hostnameOf, identityOf } from '../identity.ts'
import type { LiveRecord } from '../machine-record.ts'
import type { NodeParts } from '../node-parts.ts'
import { throwIfAborted, withDeadline } from '../wait.ts'
import type { WarmMachine } from './warm-machine.ts'

/** A machine that is ready answers at once; making a new one takes less time than waiting longer would. */
const PATIENCE_MS = 2_000

export interface Claimed {
  readonly running: LiveRecord
  readonly session: GuestSession
  /** It goes on from a saved memory: what is to run in it runs already, or has ended as it was to. */
  readonly awake?: boolean
}

/**
 * Makes a machine of a pool the machine of this sandbox. Undefined when it does not answer: then it has been thrown
 * away, and the sandbox gets one of its own.
 */
export async function claimMachine(
  parts: NodeParts,
  warm: WarmMachine,
  record: LiveRecord,
  spec: SandboxSpec,
  defaults: Ground['defaults'],
  signal: AbortSignal,
): Promise<Claimed | undefined> {
  const { machine, session, driver, disk, ground, awake } = warm
  using _held = ground
  const { previous: _previous, ...own } = record
  const running: LiveRecord = { ...own, state: 'running', limits: machine.limits }
  const become = async (limited: AbortSignal): Promise<void> => {
    if (isRenamable(machine)) await machine.rename(hostnameOf(spec))
    await session.configure(identityOf(parts, spec, defaults), limited)
  }
  session.belongTo(record.sandbox)
  const [configuring, writing] = await Promise.allSettled([
    withDeadline(parts.clock, PATIENCE_MS, 'a machine of a pool', signal, become),
    // A daemon that dies now finds a machine that nobody was told of yet: the create that comes again configures it.
    parts.records.put(running),
  ])
  if (configuring.status === 'fulfilled' && writing.status === 'fulfilled') return { running, session, awake }
  session.end(new CoveError('wrong-state', `sandbox ${record.sandbox} did not start`, { state: 'failed' }))
  parts.strays.add({ driver, machine: machine.id, ...(disk === undefined ? {} : { disk }) })
  parts.strays.removeInBackground()
  throwIfAborted(signal)
  if (writing.status === 'rejected') throw CoveError.from(writing.reason)
  const error = configuring.status === 'rejected' ? CoveError.from(configuring.reason) : undefined
  parts.log.warn('a machine of a pool does not answer', { machine: machine.id, error: error?.message ?? '' })
  return undefined
}
