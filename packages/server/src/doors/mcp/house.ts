import type { Clock, Log, Random } from '@cove/domain'
import type { Audit } from '../../audit/audit.ts'
import type { Ports } from '../../ports/ports.ts'
import type { Runtimes } from '../../runtimes/runtimes.ts'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
import type { Room } from './room.ts'
import type { McpSettings } from './settings.ts'

/** What the tools work with. */
export interface McpHouse {
  readonly sandboxes: Sandboxes
  readonly runtimes: Runtimes
  readonly ports: Ports
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly log: Log
  readonly settings: McpSettings
  /** Environments that are being made. */
  readonly making: Set<{ readonly project: string; readonly name: string }>
  /** For the large answers that have not been taken yet. */
  readonly answers: Room
}
