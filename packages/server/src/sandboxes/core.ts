import type { Clock, Log, NodeClient, Random, SandboxId } from '@cove/domain'
import type { ServerDefaults, ServerLimits } from '../options.ts'
import type { SnapshotBook } from '../snapshots/snapshot-book.ts'
import type { TemplateBook } from '../templates/template-book.ts'
import type { VolumeBook } from '../volumes/volume-book.ts'
import type { Activity } from './activity.ts'
import type { Ledger } from './ledger.ts'
import type { Operations } from './operations.ts'
import type { SandboxView } from './view.ts'

/** What the use cases of this room share. */
export interface Core {
  readonly ledger: Ledger
  readonly view: SandboxView
  readonly node: NodeClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly limits: ServerLimits
  readonly defaults: ServerDefaults
  readonly templates: TemplateBook
  readonly snapshots: SnapshotBook
  readonly volumes: VolumeBook
  readonly activity: Activity
  readonly operations: Operations
  /** Told when the removal of a sandbox failed and has to be tried again. */
  readonly removalFailed: (id: SandboxId) => void
  /** Told when the store refused the outcome of a step: records and node have to be compared again. */
  readonly outcomeLost: () => void
}
