import { CoveError, describeExit, isPausable, type Exit } from '@cove/domain'
import type { GuestSession } from './guest-session.ts'
import { endRecord, isEndedRecord, type EndedRecord, type MachineRecord } from './machine-record.ts'
import { driverNamed, type NodeParts } from './node-parts.ts'
import type { Slot } from './slot.ts'
import { staleIncarnation } from './stale-incarnation.ts'
import { abortable, anySignal, withDeadline } from './wait.ts'

/** Milliseconds beyond the grace in which a guest that obeys is gone. */
const MARGIN_MS = 1_000
/** Longest wait for a guest that does not take the wish to shut down. */
const REACH_MS = 5_000
/** Longest wait for a machine that is ended by force; after that the caller hears it, and may try again. */
const FORCE_MS = 30_000

/** Hears of the machine's end and records it, unless somebody has asked for that end. */
export function watchMachine(parts: NodeParts, slot: Slot, session: GuestSession): void {
  const record = async (): Promise<void> => {
    const exit = await session.machine.exited
    await slot.run(async () => {
      if (slot.session === session && slot.record !== undefined) await machineEnded(parts, slot, slot.record, exit)
    })
  }
  record().catch((error: unknown) => {
    parts.log.error('recording an end failed', { sandbox: slot.id, error: String(error) })
  })
}

/** The machine is gone without having been asked to: it is recorded, told, and cleaned up after. */
export async function machineEnded(parts: NodeParts, slot: Slot, record: MachineRecord, exit: Exit): Promise<void> {
  await settleEnd(parts, slot, endRecord(record, 'ended', exit))
  parts.log.info('machine ended', { sandbox: slot.id, incarnation: record.incarnation, exit: describeExit(exit) })
  parts.events.emit({ type: 'ended', id: slot.id, incarnation: record.incarnation, exit })
}

/** Ends the machine and keeps the disk. Runs within the slot's order; a destroy that waits cuts the grace short. */
export async function stopMachine(
  parts: NodeParts,
  slot: Slot,
  incarnation: number,
  graceMs: number,
  hurry: AbortSignal,
): Promise<Exit> {
  const record = recordOf(slot, incarnation)
  if (isEndedRecord(record)) return { ...record.exit }
  await parts.recoveries.wait(record.driver, hurry)
  const session = sessionOf(slot, record)
  // A frozen guest does not hear it.
  if (graceMs > 0 && !hurry.aborted && record.paused === true && isPausable(session.machine)) {
    await session.machine.resume()
  }
  if (graceMs > 0 && !hurry.aborted) await askToEnd(parts, session, graceMs, hurry)
  const exit = await withDeadline(parts.clock, FORCE_MS, 'ending the machine by force', undefined, () =>
    session.machine.stop(0),
  )
  await settleEnd(parts, slot, endRecord(record, 'stopped', exit))
  return { ...exit }
}

/** Asks the guest to end and waits for that. Whatever goes wrong here, the machine is ended by force next. */
async function askToEnd(parts: NodeParts, session: GuestSession, graceMs: number, hurry: AbortSignal): Promise<void> {
  const { clock } = parts
  const { exited } = session.machine
  const gone = new AbortController()
  const noticeEnd = async (): Promise<void> => {
    await exited
    gone.abort()
  }
  void noticeEnd()
  const limit = anySignal(hurry, gone.signal)
  try {
    await withDeadline(clock, REACH_MS, 'asking the guest to end', limit, async (signal) => {
      await (await session.link(signal)).shutdown(graceMs, signal)
    })
    await withDeadline(clock, graceMs + MARGIN_MS, 'the end of the machine', hurry, (signal) =>
      abortable(exited, signal),
    )
  } catch (thrown) {
    const error = CoveError.from(thrown)
    if (!gone.signal.aborted)
      parts.log.debug('a machine is ended by force', { machine: session.machine.id, code: error.code })
  }
}

/** Writes the end down, however often that takes; then the machine's remains go, all but the disk. */
async function settleEnd(parts: NodeParts, slot: Slot, ended: EndedRecord): Promise<void> {
  const message = `the machine of sandbox ${slot.id} ${describeExit(ended.exit)}`
  slot.session?.end(new CoveError('wrong-state', message, { state: ended.state }))
  slot.session = undefined
  slot.record = ended
  await parts.background.untilDone('recording an end', () => parts.records.put(ended))
  slot.leftovers.add({ driver: driverNamed(parts, ended.driver), machine: ended.machine })
  slot.leftovers.removeInBackground()
}

/**
 * Removes the sandbox with everything of it. The record goes at the same time as the machine: a machine without a
 * record is removed by the next daemon, so this one may die at any moment.
 */
export async function destroySandbox(parts: NodeParts, slot: Slot): Promise<void> {
  const { record, session } = slot
  if (record === undefined) return await slot.leftovers.remove()
  const driver = driverNamed(parts, record.driver)
  session?.end(new CoveError('sandbox-not-found', `sandbox ${slot.id} was deleted`, { id: slot.id }))
  slot.session = undefined
  const { machine, disk } = record
  const snapshot = isEndedRecord(record) ? undefined : record.suspended
  slot.leftovers.add({
    driver,
    machine,
    ...(disk === undefined ? {} : { disk }),
    ...(snapshot === undefined ? {} : { snapshot }),
  })
  const [forgotten, removed] = await Promise.allSettled([parts.records.remove(slot.id), slot.leftovers.remove()])
  if (forgotten.status === 'rejected') throw CoveError.from(forgotten.reason)
  slot.record = undefined
  slot.doomed = record
  // The sandbox is gone all the same; what stays mounted is tried again with the next one.
  if (record.volumes !== undefined) await parts.volumes.settle(record.volumes).catch(reportTo(parts, slot))
  if (removed.status === 'rejected') throw CoveError.from(removed.reason, 'driver-failed')
}

function reportTo({ log }: NodeParts, slot: Slot): (thrown: unknown) => void {
  return (thrown) => {
    const { code, message } = CoveError.from(thrown)
    log.warn('a volume was not unmounted', { sandbox: slot.id, code, error: message })
  }
}

/** The record of exactly this incarnation. */
export function recordOf(slot: Slot | undefined, incarnation: number): MachineRecord {
  const record = slot?.record
  if (record === undefined) throw new CoveError('sandbox-not-found', 'this node has no such sandbox')
  if (record.incarnation > incarnation) throw staleIncarnation(record, incarnation)
  if (record.incarnation < incarnation) {
    throw new CoveError(
      'wrong-state',
      `incarnation ${incarnation} of sandbox ${record.sandbox} has not been created on this node`,
      { current: record.incarnation, asked: incarnation },
    )
  }
  return record
}

/** The session of a machine that is supposed to run. */
export function sessionOf(slot: Slot, record: MachineRecord): GuestSession {
  if (isEndedRecord(record)) {
    const message = `the machine of sandbox ${record.sandbox} ${describeExit(record.exit)}`
    throw new CoveError('wrong-state', message, { state: record.state })
  }
  if (record.suspended !== undefined) {
    throw new CoveError('wrong-state', `sandbox ${record.sandbox} is paused to disk`, { state: 'paused' })
  }
  if (slot.session !== undefined) return slot.session
  if (record.state === 'creating') {
    throw new CoveError('wrong-state', `sandbox ${record.sandbox} is still being created`, { state: 'creating' })
  }
  throw new CoveError('busy', `the driver ${record.driver} has not found its machines again yet`, {
    driver: record.driver,
  })
}
