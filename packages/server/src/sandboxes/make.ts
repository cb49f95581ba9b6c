import {
  CoveError,
  ERROR_CODES,
  type NodeSandbox,
  type Sandbox,
  type SandboxId,
  type SandboxState,
  type SandboxStatus,
} from '@cove/domain'
import type { Core } from './core.ts'
import { endedError, forgetIdempotency } from './ledger.ts'
import { Patience } from './patience.ts'
import type { Entry } from './view.ts'

/**
 * Brings a sandbox in state `creating` to `running`: asks the node for the machine of its incarnation, which
 * may be there already. A failed first incarnation ends the sandbox; a failed later one puts it back to
 * `stopped`, with its disk.
 */
export function make(core: Core, id: SandboxId): Promise<Sandbox> {
  return core.operations.run('make', id, async (signal) => {
    const entry = core.view.entry(id)
    if (entry === undefined) throw endedError(id, core.view.sandbox(id))
    let made: NodeSandbox
    try {
      made = await askNode(core, entry, signal)
    } catch (error) {
      throw await settleFailure(core, id, CoveError.from(error, 'driver-failed'))
    }
    try {
      // Before it runs: its idle clock must not be seen where it stood when it was used last.
      core.activity.touch(id)
      const running = await core.ledger.transition(id, 'running', () => describeMachine(core, made))
      tellTemplate(core, entry, made)
      return running
    } catch (error) {
      throw explainUnrecorded(core, id, error)
    }
  })
}

/** The part of a status that the node's answer decides. */
export function describeMachine(core: Core, made: NodeSandbox): Partial<SandboxStatus> {
  const { driver, isolation, limits, pooled = false, restored = false, notRestored } = made
  const message =
    notRestored === undefined ? {} : { message: `it has not gone on from its template's memory: ${notRestored}` }
  return { node: core.node.name, driver, isolation, limits, pooled, restored, ...message }
}

/** A memory that its driver does not wake any more is one to be made anew. */
function tellTemplate(core: Core, { spec }: Entry, { driver, notRestored }: NodeSandbox): void {
  const { memory, project, template } = spec
  if (notRestored === undefined || memory === undefined || memory.unfit !== undefined || memory.driver !== driver)
    return
  core.templates.tellProblem(project, template, memory.snapshot, notRestored).catch((error: unknown) => {
    core.log.warn('a stale memory of a template was not told', { template, error: CoveError.from(error).message })
  })
}

async function askNode(core: Core, entry: Entry, signal: AbortSignal): Promise<NodeSandbox> {
  const { spec, status } = entry
  // While a start command is waited for, the node has nothing to tell.
  using patience = new Patience(core.clock, core.limits.createMs + (spec.start?.ready?.timeoutMs ?? 0))
  const progress = (): void => patience.heard()
  const ends = AbortSignal.any([signal, patience.signal])
  return await core.node.create({ spec, incarnation: status.incarnation, progress }, ends)
}

async function settleFailure(core: Core, id: SandboxId, cause: CoveError): Promise<CoveError> {
  const entry = core.view.entry(id)
  if (entry === undefined || entry.status.state !== 'creating') return explainOvertaken(core, id, cause)
  const { message } = cause
  try {
    if (entry.status.incarnation > 1) {
      await core.ledger.transition(id, 'stopped', () => ({ message: `start failed: ${message}` }))
    } else if (isRefusal(cause)) {
      await core.ledger.bury(id, { reason: 'create-failed', message }, true)
    } else {
      await core.ledger.transition(id, 'failed', () => ({ reason: 'create-failed', message }), forgetIdempotency)
    }
  } catch (error) {
    core.log.warn('a failed create could not be recorded', { sandbox: id, error: CoveError.from(error).message })
    core.outcomeLost()
    return explainOvertaken(core, id, cause)
  }
  return new CoveError(cause.code, message, { ...cause.context, sandbox: id }, { cause, fix: cause.fix })
}

/** True when the request itself cannot be honoured: then nothing of it stays but a tombstone. */
function isRefusal({ code, transient }: CoveError): boolean {
  return ERROR_CODES[code].http < 500 && !transient
}

/** States in which somebody's step is under way. */
const UNDER_WAY: ReadonlySet<SandboxState> = new Set(['creating', 'stopping', 'pausing', 'resuming'])

/** The step was done, but its outcome could not be written down. */
export function explainUnrecorded(core: Core, id: SandboxId, error: unknown): CoveError {
  const state = core.view.entry(id)?.status.state
  if (state !== undefined && UNDER_WAY.has(state)) core.outcomeLost()
  return explainOvertaken(core, id, error)
}

/** A removal that came in between is what the caller has to know, not the conflict that it caused. */
export function explainOvertaken(core: Core, id: SandboxId, error: unknown): CoveError {
  const now = core.view.sandbox(id)
  if (now === undefined || now.status.state === 'deleting' || now.status.state === 'deleted') {
    return new CoveError('sandbox-gone', `sandbox ${id} was deleted meanwhile`, { sandbox: id })
  }
  return CoveError.from(error)
}
