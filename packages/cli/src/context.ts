import type { Cove } from '@cove/sdk'
import type { Io } from './io.ts'

/** What a command works with. */
export interface Context {
  readonly io: Io
  /** Connects to the Cove that options, environment and contexts name. Nothing is sent yet. */
  readonly client: () => Promise<Cove>
}
