import type { EndReason, Isolation, LimitReport, Network, SandboxState, Timeout } from '@cove/domain'
import type { VolumeMount } from './volumes.ts'

/** A sandbox as it was when the server was last asked. */
export interface SandboxInfo {
  /** Never used again for another sandbox. */
  readonly id: string
  readonly project: string
  /** Unique among the live sandboxes of the project; absent when none was given. */
  readonly name?: string
  readonly template: string
  /** Id of the snapshot that it was made from. */
  readonly snapshot?: string
  readonly volumes: readonly Required<VolumeMount>[]
  /** Made ahead of time and taken from a pool. */
  readonly pooled: boolean
  /** Went on from a saved memory instead of starting. */
  readonly restored: boolean
  /** What it is doing now. */
  readonly state: SandboxState
  /** Of a paused one: it is saved, and uses neither memory nor processors. */
  readonly pausedToDisk: boolean
  /** Grows by one each time the sandbox is made anew under its id. */
  readonly incarnation: number
  /** How the wall was built; absent until it is placed. */
  readonly driver?: string
  /** How strong the wall is; absent until it is placed. */
  readonly isolation?: Isolation
  /** The machine that it runs on; absent until it is placed. */
  readonly node?: string
  readonly labels: Readonly<Record<string, string>>
  /** What became of each limit: its value, and whether it is enforced. */
  readonly limits: readonly LimitReport[]
  /** What it may reach. */
  readonly network: Network
  /** Milliseconds from the last activity to its end, or its pause. */
  readonly idleTimeout: Timeout
  readonly onIdle: 'delete' | 'pause'
  /** Whoever uses it while it is paused resumes it by that. */
  readonly autoResume: boolean
  /** Milliseconds from creation, or from the last extension. */
  readonly lifetime: Timeout
  readonly createdAt: Date
  readonly changedAt: Date
  /** When the lifetime ends; absent for never. */
  readonly deadline?: Date
  /** Why it ended, and the same in a sentence; of a running one, what is worth knowing of how it was made. */
  readonly endReason?: EndReason
  readonly message?: string
}
