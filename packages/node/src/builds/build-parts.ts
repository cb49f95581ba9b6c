import type { Store } from '@cove/domain'
import type { NodeParts } from '../node-parts.ts'

/** What builds work with: machines as sandboxes have them, the images, and a place of their own. */
export interface BuildParts extends Pick<
  NodeParts,
  'drivers' | 'proofs' | 'recoveries' | 'strays' | 'session' | 'images' | 'background' | 'clock' | 'random' | 'log'
> {
  /** This node's own records. */
  readonly store: Store
  /** Where logs and build contexts are kept; made when it is not there. */
  readonly folder: string
  /** Aborts when the node closes: what is under way has failed then. */
  readonly signal: AbortSignal
  /** Builds under way at once; others wait in line. Default 2. */
  readonly atOnce?: number
}
