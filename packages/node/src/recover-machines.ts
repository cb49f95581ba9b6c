import {
  CoveError,
  isPausable,
  keepsDisks,
  type DiskId,
  type Driver,
  type Exit,
  type KeepsDisks,
  type MachineId,
  type Recovered,
} from '@cove/domain'
import { undoCreate } from './create-machine.ts'
import { machineEnded, watchMachine } from './end-machine.ts'
import { GuestSession } from './guest-session.ts'
import { isEndedRecord, isLiveRecord } from './machine-record.ts'
import type { NodeParts } from './node-parts.ts'
import type { Slot } from './slot.ts'
import { suspendedSnapshots } from './suspend-machine.ts'

/**
 * Brings what one driver still has together with what `node.db` says. Machines that run are adopted without a word
 * to their guests; what nobody knows goes. May be repeated after a failure.
 */
export async function recoverMachines(parts: NodeParts, driver: Driver, signal: AbortSignal): Promise<void> {
  const known = new Map<MachineId, Slot>()
  for (const slot of parts.slots.values()) {
    if (slot.record?.driver === driver.name) known.set(slot.record.machine, slot)
  }
  let adopted = 0
  for await (const found of driver.recover()) {
    signal.throwIfAborted()
    const id = found.kind === 'running' ? found.machine.id : found.id
    const slot = known.get(id)
    known.delete(id)
    if (slot === undefined) parts.strays.add({ driver, machine: id })
    else settle(parts, slot, driver, id, found)
    if (slot?.session !== undefined) adopted++
  }
  for (const [id, slot] of known) settle(parts, slot, driver, id, undefined)
  if (keepsDisks(driver)) await findStrayDisks(parts, driver)
  await parts.snapshots.removeStrays(driver, () => suspendedSnapshots(parts))
  parts.strays.removeInBackground()
  parts.log.info('machines recovered', { driver: driver.name, adopted })
}

/** Decides about one recorded machine; `found` is absent when the driver does not know it. */
function settle(parts: NodeParts, slot: Slot, driver: Driver, id: MachineId, found: Recovered | undefined): void {
  const { record } = slot
  if (record?.machine !== id || slot.session !== undefined) return
  if (isEndedRecord(record)) {
    if (found === undefined) return
    slot.leftovers.add({ driver, machine: id })
    slot.leftovers.removeInBackground()
  } else if (record.state === 'creating') {
    // Never acknowledged. What comes next for this sandbox waits for it, others do not.
    inBackground(parts, slot, async () => {
      const { record: now } = slot
      if (now !== undefined && isLiveRecord(now) && now.machine === id) await undoCreate(parts, slot, now)
    })
  } else if (record.suspended !== undefined) {
    // Saved and written down; its machine was still to be taken away.
    if (found === undefined) return
    slot.leftovers.add({ driver, machine: id })
    slot.leftovers.removeInBackground()
  } else if (found?.kind === 'running') {
    const session = new GuestSession(slot.id, found.machine, record.token, parts.session)
    slot.session = session
    watchMachine(parts, slot, session)
    pauseOrWake(parts, slot, session)
  } else {
    const exit: Exit = found?.kind === 'exited' ? found.exit : { kind: 'lost' }
    inBackground(parts, slot, async () => {
      if (slot.record === record && slot.session === undefined) await machineEnded(parts, slot, record, exit)
    })
  }
}

/**
 * As its record says: the daemon may have died between writing down a pause and doing it, or while it held the machine
 * still to read its disk.
 */
function pauseOrWake(parts: NodeParts, slot: Slot, session: GuestSession): void {
  const { machine } = session
  if (!isPausable(machine)) return
  inBackground(parts, slot, async () => {
    const { record } = slot
    if (slot.session !== session || record === undefined || !isLiveRecord(record)) return
    if (record.paused === true) await machine.pause()
    else await machine.resume()
  })
}

function inBackground(parts: NodeParts, slot: Slot, work: () => Promise<void>): void {
  parts.background.track(slot.run(work)).catch((thrown: unknown) => {
    const error = CoveError.from(thrown)
    parts.log.error('settling a sandbox failed', { sandbox: slot.id, code: error.code, error: error.message })
  })
}

/** The list is read first and compared afterwards: a disk made meanwhile is never taken for a stray. */
async function findStrayDisks(parts: NodeParts, driver: Driver & KeepsDisks): Promise<void> {
  const disks = await driver.listDisks()
  const known = new Set<DiskId>()
  for (const { record } of parts.slots.values()) {
    if (record?.disk === undefined) continue
    // What is suspended has its files in its snapshot.
    if (isEndedRecord(record) || record.suspended === undefined) known.add(record.disk)
  }
  for (const disk of disks) if (!known.has(disk)) parts.strays.add({ driver, disk })
}
