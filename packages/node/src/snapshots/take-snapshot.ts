import {
  CoveError,
  keepsSnapshots,
  readsDisk,
  satisfies,
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
  await using quiet = new AsyncDisposableStack()
  if (needsQuiet(record)) quiet.use(await quiesce(parts, session, context.signal))
  const content = quiet.use(await machine.readDisk(context))
  context.progress('saving what the sandbox has written')
  using lease = await parts.images.commit({
    parent: record.image ?? 'host',
    content,
    // What was copied is named and recorded while the guest is at work again.
    released: () => void quiet.disposeAsync().catch(() => undefined),
    comment: `snapshot of sandbox ${record.sandbox}`,
    signal: context.signal,
    progress: ({ step }) => context.progress(step),
  })
  await parts.images.pin(snapshotPin(request.id), lease.info.id)
  return { image: lease.info.id, bytes: lease.info.layers.at(-1)?.bytes ?? 0 }
}

/**
 * What programs have written is seen by whoever reads the disk from the same kernel, where the driver holds the machine
 * still meanwhile. A machine with a kernel of its own has to be asked to write out what it has in memory; a frozen one
 * does not answer.
 */
function needsQuiet({ isolation, paused }: LiveRecord): boolean {
  return paused !== true && satisfies(isolation, 'microvm')
}

async function quiesce(parts: NodeParts, session: GuestSession, signal: AbortSignal): Promise<AsyncDisposable> {
  await withDeadline(parts.clock, QUIESCE_MS, 'quieting the guest', signal, async (limited) => {
    await (await session.link(limited)).quiesce(true, limited)
  })
  return {
    async [Symbol.asyncDispose]() {
      if (session.ended !== undefined) return
      await withDeadline(parts.clock, QUIESCE_MS, 'waking the guest', undefined, async (limited) => {
        await (await session.link(limited)).quiesce(false, limited)
      })
    },
  }
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
  const { bytes, details } = await machine.snapshotMemory(request.id, context)
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
  return { driver: record.driver, bytes, ...(details === undefined ? {} : { details }) }
}

function unsupported({ driver }: LiveRecord, what: string): CoveError {
  return new CoveError('unsupported', `the driver ${driver} cannot ${what}`, { driver })
}
