import {
  CoveError,
  keepsSnapshots,
  newDiskId,
  newMachineId,
  newSnapshotId,
  savesMemory,
  type Machine,
  type SandboxSpec,
  type SnapshotId,
} from '@cove/domain'
import { chooseDriver } from './choose-driver.ts'
import { leftoversGone } from './create-machine.ts'
import { watchMachine } from './end-machine.ts'
import { findSavedGround } from './ground.ts'
import { GuestSession } from './guest-session.ts'
import { hostnameOf, identityOf } from './identity.ts'
import type { LiveRecord } from './machine-record.ts'
import { driverNamed, type NodeParts } from './node-parts.ts'
import type { Slot } from './slot.ts'
import { throwIfAborted } from './wait.ts'

/**
 * Saves the memory of a machine that is frozen, and takes the machine away. Until that is written down the machine is
 * what counts, and a snapshot that nobody knows is removed; from then on it is the snapshot, and what is left of the
 * machine is removed, by this daemon or the next one. Runs within the slot's order.
 */
export async function suspendMachine(
  parts: NodeParts,
  slot: Slot,
  record: LiveRecord,
  machine: Machine,
  signal: AbortSignal,
): Promise<void> {
  const driver = driverNamed(parts, record.driver)
  refuseUnlessSuspendable(parts, record, machine)
  if (!savesMemory(machine) || !keepsSnapshots(driver)) return
  const id = newSnapshotId(parts.random)
  const suspended: LiveRecord = { ...record, paused: true, suspended: id }
  try {
    await machine.snapshotMemory(id, { signal, progress: () => undefined })
    throwIfAborted(signal)
    await parts.records.put(suspended)
  } catch (error) {
    await driver.removeSnapshot(id).catch(() => undefined)
    throw CoveError.from(error, 'driver-failed')
  }
  slot.record = suspended
  slot.session?.end(new CoveError('wrong-state', `sandbox ${slot.id} is paused`, { state: 'paused' }))
  slot.session = undefined
  slot.leftovers.add(machineOf(parts, suspended))
  // Whoever asked hears when its memory is free again; what cannot be removed now is tried until it is gone.
  await slot.leftovers.remove().catch((error: unknown) => {
    parts.log.warn('what is left of a paused sandbox is not removed yet', { sandbox: slot.id, error: String(error) })
  })
}

/** Fails with `unsupported`, and what can be done instead, before anything has happened. */
export function refuseUnlessSuspendable(parts: NodeParts, record: LiveRecord, machine: Machine): void {
  const { driver, volumes = [] } = record
  const fix = 'Pause it in memory.'
  if (!savesMemory(machine) || !keepsSnapshots(driverNamed(parts, driver))) {
    throw new CoveError('unsupported', `the driver ${driver} cannot save the memory of a machine`, { driver }, { fix })
  }
  if (volumes.length > 0) {
    throw new CoveError('unsupported', 'a sandbox that uses volumes cannot be paused to disk', {}, { fix })
  }
}

/**
 * Makes a machine that goes on from the saved one, with a disk of its own. Nothing is written down before it answers: a
 * daemon that dies earlier leaves a machine and a disk that nobody knows, which the next one removes. Runs within the
 * slot's order.
 */
export async function wakeMachine(
  parts: NodeParts,
  slot: Slot,
  record: LiveRecord,
  spec: SandboxSpec,
  signal: AbortSignal,
): Promise<void> {
  const { suspended } = record
  if (suspended === undefined) return
  await leftoversGone(parts, slot, signal)
  const driver = driverNamed(parts, record.driver)
  using ground = await findSavedGround(parts, suspended, record)
  const disk = record.disk === undefined ? {} : { disk: newDiskId(parts.random) }
  const id = newMachineId(parts.random)
  const wanted = {
    from: ground.from,
    limits: spec.limits,
    network: spec.network,
    hostname: hostnameOf(spec),
    ...disk,
  }
  await chooseDriver(parts.drivers, parts.proofs, { driver: driver.name, spec: wanted }, signal)
  let session: GuestSession | undefined
  try {
    await parts.creates.run(signal, async () => {
      const machine = await driver.create(id, wanted, { signal, progress: () => undefined })
      session = new GuestSession(slot.id, machine, record.token, parts.session)
      // Its clock has stood still, and nobody else may have seen the same chance before.
      await session.configure(identityOf(parts, spec, ground.defaults), signal)
      const { paused: _paused, suspended: _suspended, ...before } = record
      const awake: LiveRecord = { ...before, ...disk, machine: id, limits: machine.limits }
      await parts.records.put(awake)
      slot.record = awake
      slot.session = session
    })
  } catch (error) {
    session?.end(new CoveError('wrong-state', `sandbox ${slot.id} did not wake`, { state: 'paused' }))
    slot.leftovers.add({ driver, machine: id, ...disk })
    slot.leftovers.removeInBackground()
    throw CoveError.from(error, 'driver-failed')
  }
  if (slot.session !== undefined) watchMachine(parts, slot, slot.session)
  slot.leftovers.add({ driver, snapshot: suspended })
  slot.leftovers.removeInBackground()
}

/** What a suspended sandbox does not need any more. */
export function machineOf(parts: NodeParts, { driver, machine, disk }: LiveRecord) {
  return { driver: driverNamed(parts, driver), machine, ...(disk === undefined ? {} : { disk }) }
}

/** Snapshots that belong to paused sandboxes. */
export function* suspendedSnapshots(parts: NodeParts): Iterable<SnapshotId> {
  for (const { record } of parts.slots.values()) {
    if (record !== undefined && 'suspended' in record && record.suspended !== undefined) yield record.suspended
  }
}
