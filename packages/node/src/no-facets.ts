import { CoveError } from '@cove/domain'
import type { NodeFacets } from './machine-node.ts'

/** What this node does not have. */
export function noFacets(): NodeFacets {
  return {
    builds: {
      hasContext: async () => false,
      putContext: refuse,
      start: refuse,
      // eslint-disable-next-line require-yield
      follow: async function* () {
        await refuse()
      },
      cancel: refuse,
      remove: async () => {},
    },
    volumes: { create: refuse, list: async () => [], copy: refuse, remove: async () => {} },
    pools: { set: refuse, list: async () => [] },
  }
}

async function refuse(): Promise<never> {
  throw new CoveError('unsupported', 'this node does not have it')
}
