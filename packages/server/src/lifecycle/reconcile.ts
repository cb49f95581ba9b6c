import { CoveError, describeExit, type NodeSandbox, type SandboxId } from '@cove/domain'
import type { Core } from '../sandboxes/core.ts'
import { describeMachine, make } from '../sandboxes/make.ts'
import { pause, resume } from '../sandboxes/pause.ts'
import { stop } from '../sandboxes/power.ts'
import { remove } from '../sandboxes/remove.ts'
import type { Entry } from '../sandboxes/view.ts'
import { fail, machineEnded } from './machine-ends.ts'

/** Steps that take time are not done all at once. */
const PARALLEL = 8
const STOP_GRACE_MS = 5_000

/**
 * Brings the records and the node together after a restart or a gap in the node's events. A sandbox that changed
 * while the node was asked is somebody's work in hand and left alone.
 */
export async function reconcile(core: Core): Promise<void> {
  const before = new Map<SandboxId, number>()
  for (const { spec, statusRevision } of core.view.entries()) before.set(spec.id, statusRevision)
  const held = await core.node.list()
  const byId = new Map(held.map((one) => [one.id, one]))
  const steps: (() => Promise<unknown>)[] = []
  for (const entry of core.view.entries()) {
    if (before.get(entry.spec.id) !== entry.statusRevision) continue
    const step = settle(core, entry, byId.get(entry.spec.id))
    if (step !== undefined) steps.push(step)
  }
  for (const { id } of held) {
    if (core.view.entry(id) === undefined) steps.push(() => destroyLeftover(core, id))
  }
  await inParallel(steps, async (step) => {
    try {
      await step()
    } catch (error) {
      const { code, message } = CoveError.from(error)
      core.log.warn('a sandbox could not be brought in order', { code, error: message })
    }
  })
}

/** What has to be done about one sandbox; undefined when all is well. */
function settle(core: Core, entry: Entry, held: NodeSandbox | undefined): (() => Promise<unknown>) | undefined {
  const { id } = entry.spec
  const { state, incarnation } = entry.status
  const current = held?.incarnation === incarnation ? held : undefined
  switch (state) {
    case 'pending':
      return () => core.ledger.transition(id, 'creating').then(() => make(core, id))
    case 'creating':
      return core.operations.isRunning('make', id) ? undefined : () => make(core, id)
    case 'running':
    case 'lost':
      return settleRunning(core, entry, held, current)
    case 'stopping':
      return core.operations.isRunning('stop', id) ? undefined : () => stop(core, id, STOP_GRACE_MS)
    case 'stopped':
      if (held === undefined) return () => fail(core, id, 'node-lost', 'its node no longer has its disk')
      return current?.state === 'running' ? () => core.node.stop(id, incarnation, STOP_GRACE_MS) : undefined
    case 'failed':
      return held === undefined ? undefined : () => core.node.destroy(id)
    case 'deleting':
      return () => remove(core, id, entry.status.reason ?? 'deleted')
    case 'pausing':
    case 'paused':
    case 'resuming':
      return settlePaused(core, entry, current)
    case 'deleted':
      return undefined
  }
}

/** Steps that were cut off are brought to their end; a machine that is awake though nobody woke it is frozen again. */
function settlePaused(
  core: Core,
  { spec: { id }, status: { state, incarnation, pausedTo } }: Entry,
  current: NodeSandbox | undefined,
): (() => Promise<unknown>) | undefined {
  const exit = current?.exit
  if (exit !== undefined) return () => machineEnded(core, id, incarnation, exit)
  if (current === undefined) return () => fail(core, id, 'node-lost', 'its node no longer has its machine')
  if (state === 'pausing') {
    return core.operations.isRunning('pause', id) ? undefined : () => pause(core, id)
  }
  if (state === 'resuming') return core.operations.isRunning('resume', id) ? undefined : () => resume(core, id)
  return current.state === 'running' ? () => core.node.pause(id, incarnation, pausedTo) : undefined
}

function settleRunning(
  core: Core,
  { spec, status: { state, incarnation } }: Entry,
  held: NodeSandbox | undefined,
  current: NodeSandbox | undefined,
): (() => Promise<unknown>) | undefined {
  const { id } = spec
  if (current?.state === 'paused') {
    return async () => {
      await core.node.resume(id, incarnation, spec)
      if (state !== 'running') await core.ledger.transition(id, 'running', () => describeMachine(core, current))
    }
  }
  if (current?.state === 'running') {
    if (state === 'running') return undefined
    return () => core.ledger.transition(id, 'running', () => describeMachine(core, current))
  }
  const exit = current?.exit
  if (exit !== undefined) {
    if (state === 'running') return () => machineEnded(core, id, incarnation, exit)
    return () => fail(core, id, 'crashed', `its machine ${describeExit(exit)}`)
  }
  const what = held === undefined ? 'its node no longer knows it' : `its node has it ${held.state}`
  return () => fail(core, id, 'node-lost', `${what}; the machine is gone`)
}

async function destroyLeftover(core: Core, id: SandboxId): Promise<void> {
  // Another server may have made it since the records were read.
  const sandbox = await core.ledger.refresh(id)
  if (sandbox !== undefined && sandbox.status.state !== 'deleted') return
  core.log.info('removing a machine that belongs to no sandbox', { sandbox: id })
  await core.node.destroy(id)
}

async function inParallel<Item>(items: readonly Item[], run: (item: Item) => Promise<void>): Promise<void> {
  const queue = items.values()
  const worker = async (): Promise<void> => {
    for (const item of queue) await run(item)
  }
  await Promise.all(Array.from({ length: Math.min(PARALLEL, items.length) }, worker))
}
