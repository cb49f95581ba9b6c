import { CoveError, type PausedTo, type Sandbox, type SandboxId, type SandboxStatus } from '@cove/domain'
import type { Core } from './core.ts'
import { endedError } from './ledger.ts'
import { explainOvertaken, explainUnrecorded } from './make.ts'
import type { Entry } from './view.ts'

export interface PauseRequest {
  /** Its lifetime goes on meanwhile. */
  readonly burnLifetime?: boolean
  /** Default `memory`. */
  readonly to?: PausedTo
}

/**
 * Freezes a running sandbox, or saves it and takes its machine away. A paused one stays paused, but can still be saved;
 * one that is pausing already (another call, or a restart in the middle) is brought to its end as it was begun. A machine
 * that cannot be paused so runs on.
 */
export function pause(core: Core, id: SandboxId, request: PauseRequest = {}): Promise<Sandbox> {
  return core.operations.run('pause', id, async () => {
    const entry = present(core, id)
    const { state, incarnation } = entry.status
    if (state === 'paused') return await saveToo(core, entry, request)
    const to = (state === 'pausing' ? entry.status.pausedTo : request.to) ?? 'memory'
    if (state !== 'pausing') {
      refuseUnless(state === 'running', id, state, 'only a running one can be paused')
      const burns = request.burnLifetime === true ? { burnsWhilePaused: true } : {}
      await core.ledger.transition(id, 'pausing', () => ({ pausedTo: to, ...burns }))
    }
    try {
      await core.node.pause(id, incarnation, to)
    } catch (error) {
      await fallBack(core, id, 'pausing', 'running')
      throw explainOvertaken(core, id, CoveError.from(error, 'driver-failed'))
    }
    try {
      return await core.ledger.transition(id, 'paused')
    } catch (error) {
      throw explainUnrecorded(core, id, error)
    }
  })
}

/** Wakes a paused sandbox; a running one is an answer, not an error. Its clocks go on from where they stood. */
export function resume(core: Core, id: SandboxId): Promise<Sandbox> {
  return core.operations.run('resume', id, async () => {
    const entry = present(core, id)
    const { state } = entry.status
    if (state === 'running') return entry
    refuseUnless(state === 'paused' || state === 'resuming', id, state, 'only a paused one can be resumed')
    const { changedAt } = entry.status
    if (state !== 'resuming')
      await core.ledger.transition(id, 'resuming', ({ status }) => moved(core, status, changedAt))
    try {
      await core.node.resume(id, entry.status.incarnation, entry.spec)
    } catch (error) {
      await fallBack(core, id, 'resuming', 'paused')
      throw explainOvertaken(core, id, CoveError.from(error, 'driver-failed'))
    }
    try {
      // Before it runs: its idle clock must not be seen where it stood when it was used last.
      core.activity.touch(id)
      return await core.ledger.transition(id, 'running', () => ({ burnsWhilePaused: false }))
    } catch (error) {
      throw explainUnrecorded(core, id, error)
    }
  })
}

/** What is frozen is saved where that is asked for; what is saved already is not woken to be frozen. */
async function saveToo(core: Core, entry: Entry, { to = 'memory' }: PauseRequest): Promise<Sandbox> {
  const { spec, status } = entry
  if (to === 'memory' || status.pausedTo === 'disk') return entry
  await core.node.pause(spec.id, status.incarnation, to)
  return core.ledger.amend(spec.id, (now) => ({ spec: now.spec, status: { ...now.status, pausedTo: to } }))
}

/** The deadline after a pause that did not count. */
function moved(core: Core, { deadline, burnsWhilePaused }: SandboxStatus, pausedAt: number): Partial<SandboxStatus> {
  if (deadline === undefined || burnsWhilePaused === true) return {}
  return { deadline: deadline + Math.max(0, core.clock.now() - pausedAt) }
}

async function fallBack(
  core: Core,
  id: SandboxId,
  from: 'pausing' | 'resuming',
  to: 'running' | 'paused',
): Promise<void> {
  if (core.view.entry(id)?.status.state !== from) return
  try {
    await core.ledger.transition(id, to)
  } catch (error) {
    core.log.warn('a step back could not be recorded', { sandbox: id, error: CoveError.from(error).message })
    core.outcomeLost()
  }
}

function present(core: Core, id: SandboxId): Entry {
  const entry = core.view.entry(id)
  if (entry === undefined) throw endedError(id, core.view.sandbox(id))
  return entry
}

function refuseUnless(allowed: boolean, id: SandboxId, state: string, rule: string): void {
  if (allowed) return
  throw new CoveError('wrong-state', `sandbox ${id} is ${state}; ${rule}`, { sandbox: id, state })
}
