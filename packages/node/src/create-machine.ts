import {
  CoveError,
  describeExit,
  keepsDisks,
  newDiskId,
  newMachineId,
  type DiskId,
  type Driver,
  type Exit,
  type Machine,
  type MachineSpec,
  type NodeSandbox,
  type SandboxSpec,
  type VolumeMount,
} from '@cove/domain'
import { preferMemory } from './prefer-memory.ts'
import { foundMachine } from './found-machine.ts'
import { findGround, findSavedGround, type Ground } from './ground.ts'
import { watchMachine } from './end-machine.ts'
import { GuestSession } from './guest-session.ts'
import { hostnameOf, identityOf } from './identity.ts'
import { isLiveRecord, type EndedRecord, type LiveRecord } from './machine-record.ts'
import { driverNamed, type NodeParts } from './node-parts.ts'
import { claimMachine, type Claimed } from './pools/claim-machine.ts'
import { describeRecord, type Slot } from './slot.ts'
import { staleIncarnation } from './stale-incarnation.ts'
import { startSandbox } from './start-sandbox.ts'
import { throwIfAborted, withDeadline } from './wait.ts'

/** Milliseconds that a create waits for what an earlier machine of the sandbox has left over. */
const LEFTOVERS_MS = 10_000
const TOKEN_BYTES = 32

export interface MachineWish {
  readonly spec: SandboxSpec
  readonly incarnation: number
  readonly progress: (step: string) => void
}

/**
 * The machine of one incarnation: made, or found. Runs within the slot's order. Nothing of a failed or cancelled one
 * stays, and the sandbox is again what it was before.
 */
export async function createMachine(
  parts: NodeParts,
  slot: Slot,
  wish: MachineWish,
  signal: AbortSignal,
): Promise<NodeSandbox> {
  const { record } = slot
  throwIfAborted(signal)
  if (record !== undefined && record.incarnation > wish.incarnation) throw staleIncarnation(record, wish.incarnation)
  if (record !== undefined && record.incarnation === wish.incarnation)
    return await foundMachine(parts, slot, wish, signal)
  if (record !== undefined && isLiveRecord(record)) {
    throw new CoveError(
      'wrong-state',
      `incarnation ${record.incarnation} of sandbox ${slot.id} is still ${record.state}`,
      { state: record.state, incarnation: record.incarnation },
      { fix: 'Stop the sandbox first.' },
    )
  }
  await leftoversGone(parts, slot, signal)
  using ground = await findGround(parts, wish.spec, record, wish.progress, signal)
  using volumes = await parts.volumes.mountsFor(wish.spec.volumes)
  const plan: Plan = { wish, ground, previous: record, volumes: volumes.mounts }
  const driver = await driverFor(parts, plan, signal)
  // A driver that has not told yet what it runs would take the new machine for a stray.
  await parts.recoveries.wait(driver.name, signal)
  const claimed = await claim(parts, slot, driver, plan, signal)
  if (claimed !== undefined) return claimed
  const { made, reason } = await goOn(parts, slot, driver, plan, signal)
  if (made !== undefined) return made
  const started = await make(parts, slot, driver, plan, signal)
  return reason === undefined ? started : { ...started, notRestored: reason }
}

/** Everything that is known before a driver is asked. */
interface Plan {
  readonly wish: MachineWish
  readonly ground: Ground
  readonly previous: EndedRecord | undefined
  readonly volumes: readonly VolumeMount[]
}

/** `busy` when what an earlier machine has left cannot be removed in time. */
export async function leftoversGone(parts: NodeParts, slot: Slot, signal: AbortSignal): Promise<void> {
  if (slot.leftovers.empty) return
  try {
    await withDeadline(parts.clock, LEFTOVERS_MS, 'removing the machine before', signal, () => slot.leftovers.remove())
  } catch (thrown) {
    throwIfAborted(signal)
    const message = `what an earlier machine of sandbox ${slot.id} has left is not removed yet`
    throw new CoveError('busy', message, {}, { cause: thrown })
  }
}

async function driverFor(parts: NodeParts, plan: Plan, signal: AbortSignal): Promise<Driver> {
  const { ground, previous, wish } = plan
  // What the sandbox has written stays with the driver that keeps its disk, a saved memory with the one that has it.
  const bound = previous?.disk === undefined ? ground.saved?.driver : previous.driver
  const named = wish.spec.driver
  if (ground.saved !== undefined && named !== undefined && named !== ground.saved.driver) {
    const message = `a memory that ${ground.saved.driver} has saved cannot be woken by ${named}`
    throw new CoveError('invalid-argument', message, { field: 'driver', driver: ground.saved.driver })
  }
  const spec = specFor(plan, previous?.disk)
  return await preferMemory(parts, { ...wish.spec, driver: bound ?? named }, spec, signal)
}

/** Goes on from the template's memory; without a machine, the reason why it has to start. */
async function goOn(
  parts: NodeParts,
  slot: Slot,
  driver: Driver,
  plan: Plan,
  signal: AbortSignal,
): Promise<{ readonly made?: NodeSandbox; readonly reason?: string }> {
  const { memory } = plan.wish.spec
  if (memory === undefined || plan.previous !== undefined) return {}
  if (memory.unfit !== undefined) return { reason: memory.unfit }
  if (memory.driver !== driver.name) return { reason: `it is kept by ${memory.driver}, not by ${driver.name}` }
  try {
    using ground = await findSavedGround(parts, memory.snapshot, parts.snapshots.find(memory.snapshot))
    return { made: await make(parts, slot, driver, { ...plan, ground }, signal) }
  } catch (thrown) {
    throwIfAborted(signal)
    const { code, message } = CoveError.from(thrown)
    parts.log.warn('a template was not restored from its memory', { sandbox: slot.id, code, error: message })
    return { reason: message }
  }
}

/** From a pool that has exactly this; undefined when there is none, or none that answers. */
async function claim(
  parts: NodeParts,
  slot: Slot,
  driver: Driver,
  plan: Plan,
  signal: AbortSignal,
): Promise<NodeSandbox | undefined> {
  const { wish, ground, previous, volumes } = plan
  if (previous !== undefined || ground.saved !== undefined || volumes.length > 0) return undefined
  const { limits, network, memory } = wish.spec
  const demand = { driver: driver.name, ground: ground.image ?? 'host', limits, network }
  const restored =
    memory === undefined || memory.unfit !== undefined
      ? undefined
      : parts.pools.take({ ...demand, memory: memory.snapshot })
  const taken = restored ?? parts.pools.take(demand)
  if (taken === undefined) return undefined
  const { warm, spoiled } = taken
  const identity = {
    machine: warm.machine.id,
    token: warm.token,
    ...(warm.disk === undefined ? {} : { disk: warm.disk }),
  }
  const record: LiveRecord = { ...firstRecord(slot, driver, plan, identity), pooled: true }
  const made = await settle(parts, slot, record, wish, signal, () =>
    claimMachine(parts, warm, record, wish.spec, ground.defaults, signal),
  )
  if (made !== undefined) return made
  spoiled()
  slot.record = undefined
  return undefined
}

async function make(
  parts: NodeParts,
  slot: Slot,
  driver: Driver,
  plan: Plan,
  signal: AbortSignal,
): Promise<NodeSandbox> {
  const { wish, previous } = plan
  const disk = keepsDisks(driver) ? (previous?.disk ?? newDiskId(parts.random)) : undefined
  const record = firstRecord(slot, driver, plan, {
    machine: newMachineId(parts.random),
    token: parts.random.bytes(TOKEN_BYTES),
    ...(disk === undefined ? {} : { disk }),
  })
  const made = await settle(parts, slot, record, wish, signal, () =>
    parts.creates.run(signal, async () => {
      const context = { signal, progress: wish.progress }
      // The record is written while the machine is made: a machine without one is removed by the next daemon.
      const [writing, creating] = await Promise.allSettled([
        parts.records.put(record),
        driver.create(record.machine, specFor(plan, disk), context),
      ])
      if (writing.status === 'rejected') throw writing.reason
      if (creating.status === 'rejected') throw creating.reason
      return await becomeSandbox(parts, record, creating.value, plan, signal)
    }),
  )
  if (made === undefined) throw new CoveError('internal', 'a machine was made and is not there')
  return made
}

function firstRecord(
  slot: Slot,
  driver: Driver,
  { wish, ground, previous }: Plan,
  own: Pick<LiveRecord, 'machine' | 'token' | 'disk'>,
): LiveRecord {
  return {
    sandbox: slot.id,
    incarnation: wish.incarnation,
    driver: driver.name,
    isolation: driver.isolation,
    ...own,
    ...(ground.image === undefined ? {} : { image: ground.image }),
    ...(wish.spec.volumes.length === 0 ? {} : { volumes: wish.spec.volumes.map(({ volume }) => volume) }),
    limits: [],
    state: 'creating',
    ...(previous === undefined ? {} : { previous }),
  }
}

/** Gets the machine, starts what is to run in it, and only then lets others at it. All of that, or nothing. */
async function settle(
  parts: NodeParts,
  slot: Slot,
  record: LiveRecord,
  wish: MachineWish,
  signal: AbortSignal,
  obtain: () => Promise<Claimed | undefined>,
): Promise<NodeSandbox | undefined> {
  try {
    slot.record = record
    slot.doomed = undefined
    const obtained = await obtain()
    if (obtained === undefined) return undefined
    const { running, session, awake = false } = obtained
    if (!awake) await startSandbox(parts, session, wish.spec, wish.progress, signal)
    slot.record = running
    slot.session = session
    watchMachine(parts, slot, session)
    return { ...describeRecord(running), ...(awake ? { restored: true } : {}) }
  } catch (thrown) {
    // Outside the gate: a driver that hangs here holds up this sandbox only.
    if (slot.record === record) await undoCreate(parts, slot, record)
    throw CoveError.from(thrown, 'driver-failed')
  }
}

/** The machine's guest is told who it is while the record is written; both before the answer. */
async function becomeSandbox(
  parts: NodeParts,
  record: LiveRecord,
  machine: Machine,
  { wish: { spec }, ground }: Plan,
  signal: AbortSignal,
): Promise<Claimed> {
  const { previous: _previous, ...own } = record
  const running: LiveRecord = { ...own, state: 'running', limits: machine.limits }
  const { saved, defaults } = ground
  const session = new GuestSession(record.sandbox, machine, saved?.token ?? record.token, parts.session)
  try {
    throwIfAborted(signal)
    // What wakes from a saved memory takes a token of its own, so that nobody else's opens it.
    const rebound = saved === undefined ? {} : { token: record.token }
    const configured = session.configure({ ...identityOf(parts, spec, defaults), ...rebound }, signal)
    const [configuring, writing] = await Promise.allSettled([configured, parts.records.put(running)])
    if (configuring.status === 'rejected') throw configuring.reason
    if (writing.status === 'rejected') throw writing.reason
    throwIfAborted(signal)
  } catch (error) {
    session.end(new CoveError('wrong-state', `sandbox ${record.sandbox} did not start`, { state: 'failed' }))
    throw session.exit === undefined ? error : endedEarly(session.exit, error)
  }
  return { running, session, awake: saved !== undefined }
}

function endedEarly(exit: Exit, cause: unknown): CoveError {
  const context = cause instanceof CoveError ? cause.context : {}
  return new CoveError('driver-failed', `the machine ${describeExit(exit)} while it started`, context, { cause })
}

/**
 * Puts things back as they were before the create. A machine whose record is gone will be removed, now or by the
 * next daemon: that is why the record goes first, or at least at the same time.
 */
export async function undoCreate(parts: NodeParts, slot: Slot, record: LiveRecord): Promise<void> {
  const { previous } = record
  const driver = driverNamed(parts, record.driver)
  const fresh = record.disk !== undefined && record.disk !== previous?.disk
  slot.record = previous
  slot.leftovers.add({ driver, machine: record.machine, ...(fresh ? { disk: record.disk } : {}) })
  const restore = (): Promise<void> =>
    previous === undefined ? parts.records.remove(slot.id) : parts.records.put(previous)
  const [restored] = await Promise.allSettled([restore(), slot.leftovers.remove()])
  if (restored.status === 'fulfilled') return
  const again = slot.run(async () => {
    if (slot.record === previous) await parts.background.untilDone('restoring a record', restore)
  })
  void parts.background.track(again).catch(() => {})
}

function specFor({ wish: { spec }, ground, volumes }: Plan, disk: DiskId | undefined): MachineSpec {
  return {
    from: ground.from,
    limits: spec.limits,
    network: spec.network,
    hostname: hostnameOf(spec),
    ...(disk === undefined ? {} : { disk }),
    ...(volumes.length === 0 ? {} : { volumes }),
  }
}
