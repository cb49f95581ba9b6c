import { CoveError, type NodeBuilds } from '@cove/domain'

/** Of a node that has no room for logs and contexts. */
export function noBuilds(): NodeBuilds {
  return {
    hasContext: async () => false,
    putContext: refuse,
    start: refuse,
    follow: () => {
      throw refusal()
    },
    cancel: refuse,
    remove: async () => {},
  }
}

async function refuse(): Promise<never> {
  throw refusal()
}

function refusal(): CoveError {
  return new CoveError('unsupported', 'this node builds no templates')
}
