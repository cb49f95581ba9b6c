import {
  CoveError,
  type Clock,
  type Driver,
  type ImageStore,
  type Log,
  type Random,
  type SandboxId,
} from '@cove/domain'
import type { Background } from './background.ts'
import type { DriverProofs } from './driver-proofs.ts'
import type { Events } from './events.ts'
import type { Gate } from './gate.ts'
import type { SessionParts } from './guest-session.ts'
import type { Leftovers } from './leftovers.ts'
import type { MachineRecords } from './machine-records.ts'
import type { WarmPools } from './pools/warm-pools.ts'
import type { Recoveries } from './recoveries.ts'
import type { Slot } from './slot.ts'
import type { Snapshots } from './snapshots/snapshots.ts'
import type { Volumes } from './volumes/volumes.ts'

/** What the steps of a sandbox's life on this node work with. */
export interface NodeParts {
  readonly drivers: readonly Driver[]
  readonly proofs: DriverProofs
  readonly records: MachineRecords
  readonly recoveries: Recoveries
  readonly images: ImageStore
  readonly snapshots: Snapshots
  readonly volumes: Volumes
  readonly pools: WarmPools
  readonly slots: Map<SandboxId, Slot>
  /** Machines and disks of no known sandbox. */
  readonly strays: Leftovers
  readonly creates: Gate
  readonly background: Background
  readonly events: Events
  readonly session: SessionParts
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export function driverNamed(parts: NodeParts, name: string): Driver {
  const driver = parts.drivers.find((candidate) => candidate.name === name)
  if (driver !== undefined) return driver
  throw new CoveError(
    'driver-failed',
    `the driver ${name} of this sandbox is not configured`,
    { driver: name },
    {
      fix: `Start the node with the driver ${name} again.`,
    },
  )
}
