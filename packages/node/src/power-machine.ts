import {
  CoveError,
  isPausable,
  isResizable,
  type LimitReport,
  type Limits,
  type Machine,
  type Pausable,
  type PausedTo,
  type SandboxSpec,
} from '@cove/domain'
import { recordOf, sessionOf } from './end-machine.ts'
import { isLiveRecord, type LiveRecord } from './machine-record.ts'
import type { NodeParts } from './node-parts.ts'
import type { Slot } from './slot.ts'
import { refuseUnlessSuspendable, suspendMachine, wakeMachine } from './suspend-machine.ts'

/**
 * Freezes the machine, and saves it when it is to be paused to disk. That it is to be frozen is written down first: a
 * daemon that dies in between finds it so and freezes it. A machine that cannot be saved is as it was before. Runs within
 * the slot's order; `signal` ends the saving.
 */
export async function pauseMachine(
  parts: NodeParts,
  slot: Slot,
  incarnation: number,
  to: PausedTo,
  signal: AbortSignal,
): Promise<void> {
  if (suspendedOf(slot, incarnation) !== undefined) return
  const { record, machine } = await running(parts, slot, incarnation)
  if (to === 'disk') refuseUnlessSuspendable(parts, record, machine)
  const pausable = pausableOf(machine, record)
  const frozen: LiveRecord = { ...record, paused: true }
  await write(parts, slot, frozen)
  try {
    await pausable.pause()
    if (to === 'disk') await suspendMachine(parts, slot, frozen, machine, signal)
  } catch (error) {
    if (record.paused !== true) {
      // A failed pause may have frozen it all the same.
      await pausable.resume().catch(() => undefined)
      await write(parts, slot, record)
    }
    throw CoveError.from(error, 'driver-failed')
  }
}

/**
 * Wakes the machine, and only then writes down that it runs. Runs within the slot's order; `signal` ends the making of a
 * machine from what was saved.
 */
export async function resumeMachine(
  parts: NodeParts,
  slot: Slot,
  incarnation: number,
  spec: SandboxSpec,
  signal: AbortSignal,
): Promise<void> {
  const suspended = suspendedOf(slot, incarnation)
  if (suspended !== undefined) {
    await parts.recoveries.wait(suspended.driver, signal)
    return await wakeMachine(parts, slot, suspended, spec, signal)
  }
  const { record, machine } = await running(parts, slot, incarnation)
  await pausableOf(machine, record).resume()
  if (record.paused !== true) return
  const { paused: _paused, ...awake } = record
  await write(parts, slot, awake)
}

/** Changes limits of the running machine; what it is not asked about stays. Runs within the slot's order. */
export async function resizeMachine(
  parts: NodeParts,
  slot: Slot,
  incarnation: number,
  limits: Limits,
): Promise<readonly LimitReport[]> {
  const { record, machine } = await running(parts, slot, incarnation)
  if (!isResizable(machine)) {
    throw new CoveError('unsupported', `the driver ${record.driver} cannot change limits of a running machine`, {
      driver: record.driver,
    })
  }
  const changed = await machine.resize(limits)
  const names = new Set(changed.map(({ name }) => name))
  const all = [...record.limits.filter(({ name }) => !names.has(name)), ...changed]
  await write(parts, slot, { ...record, limits: all })
  return all.map((report) => ({ ...report }))
}

/** The record, when its machine is saved and gone. */
function suspendedOf(slot: Slot, incarnation: number): LiveRecord | undefined {
  const record = recordOf(slot, incarnation)
  return isLiveRecord(record) && record.suspended !== undefined ? record : undefined
}

async function running(
  parts: NodeParts,
  slot: Slot,
  incarnation: number,
): Promise<{ readonly record: LiveRecord; readonly machine: Machine }> {
  const found = recordOf(slot, incarnation)
  if (isLiveRecord(found)) await parts.recoveries.wait(found.driver)
  const record = recordOf(slot, incarnation)
  const { machine } = sessionOf(slot, record)
  if (!isLiveRecord(record)) throw new CoveError('internal', 'an ended machine has a session')
  return { record, machine }
}

function pausableOf(machine: Machine, { driver }: LiveRecord): Pausable {
  if (isPausable(machine)) return machine
  throw new CoveError('unsupported', `the driver ${driver} cannot pause machines here`, { driver })
}

async function write(parts: NodeParts, slot: Slot, record: LiveRecord): Promise<void> {
  await parts.records.put(record)
  slot.record = record
}
