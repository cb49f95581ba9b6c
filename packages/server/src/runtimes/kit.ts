import type { Clock, Random } from '@cove/domain'
import type { RuntimeCommands } from './commands.ts'
import type { Grounds } from './ground.ts'

/** What the parts of this room work with. */
export interface Kit {
  readonly random: Random
  readonly clock: Clock
  readonly commands: RuntimeCommands
  readonly grounds: Grounds
}
