import type { EndReason, SandboxState } from './life.ts'
import type { SandboxId } from './ids.ts'
import type { Isolation } from './isolation.ts'
import type { LimitReport, Limits } from './limits.ts'
import type { Network } from './network.ts'

/** Milliseconds, or `never`. */
export type Timeout = number | 'never'

/** What was asked for. Written once by the server; only the timeouts change afterwards. */
export interface SandboxSpec {
  readonly id: SandboxId
  readonly project: string
  /** Unique among the live sandboxes of its project, when given. */
  readonly name?: string
  readonly template: string
  /** The weakest wall that is acceptable. */
  readonly isolation?: Isolation
  /** Names one driver instead of leaving the choice to the node. */
  readonly driver?: string
  readonly limits: Limits
  readonly network: Network
  readonly env: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  /** From the last activity to the end. */
  readonly idleTimeout: Timeout
  /** From creation (or the last extension) to the end, whatever happens. */
  readonly lifetime: Timeout
  readonly createdAt: number
}

/** What is. Written by the server from what the node reports. */
export interface SandboxStatus {
  readonly state: SandboxState
  /** How often the sandbox was made anew under its id; the first machine is incarnation 1. */
  readonly incarnation: number
  /** Unix milliseconds of the last change of state. */
  readonly changedAt: number
  readonly node?: string
  readonly driver?: string
  readonly isolation?: Isolation
  readonly limits: readonly LimitReport[]
  /** Unix milliseconds; absent means never. */
  readonly deadline?: number
  readonly reason?: EndReason
  /** The reason in a sentence, for people. */
  readonly message?: string
}

export interface Sandbox {
  readonly spec: SandboxSpec
  readonly status: SandboxStatus
}
