import type { EndReason, Isolation, LimitReport, Network, SandboxState, Timeout } from '@cove/domain'

/** A sandbox as it was when the server was last asked. */
export interface SandboxInfo {
  readonly id: string
  readonly project: string
  readonly name?: string
  readonly template: string
  readonly state: SandboxState
  /** Grows by one each time the sandbox is made anew under its id. */
  readonly incarnation: number
  readonly driver?: string
  readonly isolation?: Isolation
  readonly node?: string
  readonly labels: Readonly<Record<string, string>>
  /** What became of each limit: its value, and whether it is enforced. */
  readonly limits: readonly LimitReport[]
  readonly network: Network
  /** Milliseconds from the last activity to the end. */
  readonly idleTimeout: Timeout
  /** Milliseconds from creation, or from the last extension. */
  readonly lifetime: Timeout
  readonly createdAt: Date
  readonly changedAt: Date
  /** When the lifetime ends; absent for never. */
  readonly deadline?: Date
  /** Why it ended, and the same in a sentence. */
  readonly endReason?: EndReason
  readonly message?: string
}
