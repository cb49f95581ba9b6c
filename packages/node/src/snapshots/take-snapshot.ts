import {
  CoveError,
  keepsSnapshots,
  readsDisk,
  savesMemory,
  type CreateContext,
  type Machine,
  type NodeSnapshot,
  type SavedSnapshot,
} from '@cove/domain'
import { recordOf, sessionOf } from '../end-machine.ts'
import type { GuestSession } from '../guest-session.ts'
import { isLiveRecord, type LiveRecord } from '../machine-record.ts'
import { driverNamed, type NodeParts } from '../node-parts.ts'
import type { Slot } from '../slot.ts'
import { withDeadline } from '../wait.ts'
import { snapshotPin } from './snapshots.ts'

/** Milliseconds that a guest may take to write out what it has in memory for its files. */
const QUIESCE_MS = 30_000

/** Saves one running machine. Runs within the slot's order. */
export async function takeSnapshot(
  parts: NodeParts,
  slot: Slot,
  incarnation: number,
  request: NodeSnapshot,
  signal: AbortSignal,
): Promise<SavedSnapshot> {
  const found = recordOf(slot, incarnation)
  if (isLiveRecord(found)) await parts.recoveries.wait(found.driver, signal)
  const record = recordOf(slot, incarnation)
  const session = sessionOf(slot, record)
  if (!isLiveRecord(record)) throw new CoveError('internal', 'an ended machine has a session')
  const context = { signal, progress: request.progress ?? (() => undefined) }
  return request.kind === 'memory'
    ? await saveMemory(parts, record, session.machine, request, context)
    : await saveFiles(parts, record, session, request, context)
}

async function saveFiles(
  parts: NodeParts,
  record: LiveRecord,
  session: GuestSession,
  request: NodeSnapshot,
  context: CreateContext,
): Promise<SavedSnapshot> {
  const { machine } = session
  if (!readsDisk(machine)) throw unsupported(record, 'save the files of a machine')
  // A frozen guest does not answer, and everything it had to write was written when it was frozen or will be later.
  await using quiet = record.paused === true ? undefined : await quiesce(parts, session, context.signal)
  await using content = await machine.readDisk(context)
  context.progress('saving what the sandbox has written')
  using lease = await parts.images.commit({
    parent: record.image ?? 'host',
    content,
    // What was copied is named and recorded while the guest is at work again.
    released: () => void quiet?.end(),
    comment: `snapshot of sandbox ${record.sandbox}`,
    signal: context.signal,
    progress: ({ step }) => context.progress(step),
  })
  await parts.images.pin(snapshotPin(request.id), lease.info.id)
  return { image: lease.info.id, bytes: lease.info.layers.at(-1)?.bytes ?? 0 }
}

/** A guest that writes nothing until it is told to go on. */
interface Quiet extends AsyncDisposable {
  /** Idempotent, and never fails: what keeps a guest from being told is told by its disposal. */
  end(): Promise<void>
}

async function quiesce(parts: NodeParts, session: GuestSession, signal: AbortSignal): Promise<Quiet> {
  await withDeadline(parts.clock, QUIESCE_MS, 'quieting the guest', signal, async (limited) => {
    await (await session.link(limited)).quiesce(true, limited)
  })
  let ending: Promise<void> | undefined
  const wake = async (): Promise<void> => {
    if (session.ended !== undefined) return
    await withDeadline(parts.clock, QUIESCE_MS, 'waking the guest', undefined, async (limited) => {
      await (await session.link(limited)).quiesce(false, limited)
    })
  }
  const end = (): Promise<void> => (ending ??= wake())
  return { end: () => end().catch(() => undefined), [Symbol.asyncDispose]: end }
}

async function saveMemory(
  parts: NodeParts,
  record: LiveRecord,
  machine: Machine,
  request: NodeSnapshot,
  context: CreateContext,
): Promise<SavedSnapshot> {
  const driver = driverNamed(parts, record.driver)
  if (!savesMemory(machine) || !keepsSnapshots(driver)) throw unsupported(record, 'save the memory of a machine')
  if (record.volumes !== undefined && record.volumes.length > 0) {
    const message = 'the memory of a sandbox that uses volumes cannot be saved: its copies would share them unawares'
    throw new CoveError('unsupported', message, {}, { fix: 'Take a `filesystem` snapshot.' })
  }
  const { bytes } = await machine.snapshotMemory(request.id, context)
  try {
    await parts.snapshots.add({
      id: request.id,
      driver: record.driver,
      ...(record.image === undefined ? {} : { image: record.image }),
      token: record.token,
    })
  } catch (error) {
    await driver.removeSnapshot(request.id).catch(() => undefined)
    throw error
  }
  return { driver: record.driver, bytes }
}

function unsupported({ driver }: LiveRecord, what: string): CoveError {
  return new CoveError('unsupported', `the driver ${driver} cannot ${what}`, { driver })
}
