import { openGuestLink } from '@cove/guest-link'
import type { CoveNode } from './cove-node.ts'
import { openNodeWith, type NodeOptions } from './open-node.ts'

export type { CoveNode, NodeOptions }
export { openNodeWith } from './open-node.ts'
export type { OpenLink } from './guest-session.ts'

/** Opens a node that speaks to its guests by Cove's own protocol. */
export function openNode(options: NodeOptions): Promise<CoveNode> {
  return openNodeWith(openGuestLink, options)
}
