import {
  silentLog,
  type Clock,
  type Driver,
  type ImageId,
  type ImageStore,
  type Log,
  type Random,
  type SandboxId,
  type Store,
  type VolumeId,
} from '@cove/domain'
import { Background } from './background.ts'
import { Builds } from './builds/builds.ts'
import type { CoveNode } from './cove-node.ts'
import { DriverProofs } from './driver-proofs.ts'
import { Epochs } from './epochs.ts'
import { Events } from './events.ts'
import { Gate } from './gate.ts'
import type { OpenLink } from './guest-session.ts'
import { Leftovers } from './leftovers.ts'
import { noImages } from './images/no-images.ts'
import { MachineRecords } from './machine-records.ts'
import { MachineNode } from './machine-node.ts'
import { noBuilds } from './builds/no-builds.ts'
import type { NodeParts } from './node-parts.ts'
import { WarmPools } from './pools/warm-pools.ts'
import { Recoveries } from './recoveries.ts'
import { recoverMachines } from './recover-machines.ts'
import { slotFor } from './slots.ts'
import { Snapshots } from './snapshots/snapshots.ts'
import { Volumes } from './volumes/volumes.ts'
import { withDeadline } from './wait.ts'

const CONCURRENT_CREATES = 16
const GUEST_TIMEOUT_MS = 30_000
/** Longest that opening waits for a driver to tell what it still runs; then the others start without it. */
const RECOVERY_MS = 10_000

export interface NodeOptions {
  readonly name: string
  /** In order of preference; for requests that name nothing, strength decides. */
  readonly drivers: readonly Driver[]
  /** The caller's; without it the node has the host's own programs and nothing else. */
  readonly images?: ImageStore
  /** Where volumes are kept; without it the node keeps none. */
  readonly volumesFolder?: string
  /** This node's own machine truth, used by nobody else. */
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log?: Log
  /** Default: the strongest driver that is proven at native speed. */
  readonly defaultDriver?: string
  /** Default 16. */
  readonly maxConcurrentCreates?: number
  /** Milliseconds that a guest agent may take to answer. Default 30,000. */
  readonly guestTimeoutMs?: number
  /** Where logs and contexts of builds are kept. Without it the node builds no templates. */
  readonly buildsFolder?: string
  /** Ends the node as `close` does. */
  readonly signal?: AbortSignal
}

/**
 * Opens a node over its store, with every machine that outlived the last daemon adopted. Fails with
 * `config-invalid` for a default driver that is not in the list, and with the store's errors.
 */
export async function openNodeWith(openLink: OpenLink, options: NodeOptions): Promise<CoveNode> {
  const { drivers, store, clock, random } = options
  const log = (options.log ?? silentLog).child({ node: options.name })
  const stop = new AbortController()
  const records = new MachineRecords(store)
  const background = new Background(clock, log, stop.signal)
  const recoveries = new Recoveries(clock, log, stop.signal)
  // A proof runs a machine, and a driver that has not told yet what it runs would tell of that one too.
  const proofs = new DriverProofs({
    drivers,
    clock,
    log,
    signal: stop.signal,
    defaultDriver: options.defaultDriver,
    allowed: (driver) => recoveries.wait(driver.name),
  })
  try {
    const epochs = new Epochs(await records.nextGeneration())
    const images = options.images ?? noImages()
    const pools = new WarmPools()
    const parts: NodeParts = {
      drivers,
      proofs,
      records,
      recoveries,
      images,
      snapshots: await Snapshots.open(store, drivers, images),
      volumes: await Volumes.open(store, options.volumesFolder),
      pools,
      slots: new Map(),
      strays: new Leftovers(background, 'removing machines of no sandbox'),
      creates: new Gate(options.maxConcurrentCreates ?? CONCURRENT_CREATES),
      background,
      events: new Events(),
      session: {
        openLink,
        epochs,
        clock,
        random,
        log,
        guestTimeoutMs: options.guestTimeoutMs ?? GUEST_TIMEOUT_MS,
      },
      clock,
      random,
      log,
    }
    for (const record of await records.load()) slotFor(parts, record.sandbox).record = record
    images.keep(() => imagesInUse(parts))
    const recovered = Promise.all(drivers.map((driver) => recoverFirst(parts, driver, stop.signal)))
    const fresh = proofs.keepFresh()
    await recovered
    await parts.volumes.follow((id) => volumeUsers(parts, id))
    pools.start(parts)
    const { buildsFolder: folder } = options
    const builds =
      folder === undefined ? noBuilds() : await Builds.open({ ...parts, store, folder, signal: stop.signal })
    return new MachineNode(options.name, parts, builds, stop, fresh, options.signal)
  } catch (error) {
    stop.abort(error)
    throw error
  }
}

/** Those that machines and disks stand on, and those that would be needed again. */
function* imagesInUse(parts: NodeParts): Iterable<ImageId> {
  for (const { record } of parts.slots.values()) if (record?.image !== undefined) yield record.image
  yield* parts.snapshots.images()
}

/** Sandboxes that have it mounted, or will when they are started again. */
function volumeUsers(parts: NodeParts, id: VolumeId): readonly SandboxId[] {
  return [...parts.slots.values()].filter(({ record }) => record?.volumes?.includes(id) === true).map((slot) => slot.id)
}

async function recoverFirst(parts: NodeParts, driver: Driver, signal: AbortSignal): Promise<void> {
  const first = parts.recoveries.start(driver, () => recoverMachines(parts, driver, signal))
  try {
    await withDeadline(parts.clock, RECOVERY_MS, `recovering ${driver.name}`, signal, () => first)
  } catch (error) {
    parts.log.warn('a driver is slow to recover its machines', { driver: driver.name, error: String(error) })
  }
}
