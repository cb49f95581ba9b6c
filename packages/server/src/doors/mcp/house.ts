import type { Clock, Log, Random } from '@cove/domain'
import type { Audit } from '../../audit/audit.ts'
import type { Ports } from '../../ports/ports.ts'
import type { Runtimes } from '../../runtimes/runtimes.ts'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
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
  /** Environments of each project that are being made. */
  readonly making: Map<string, number>
}
