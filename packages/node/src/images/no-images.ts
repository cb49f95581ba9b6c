import { CoveError, type ImageStore } from '@cove/domain'

/** For a node that has the host's own programs and nothing else. */
export function noImages(): ImageStore {
  return {
    fetch: refuse,
    lease: refuse,
    list: async () => [],
    keep: () => undefined,
    commit: refuse,
    pin: refuse,
    unpin: nothing,
    remove: nothing,
    collect: async () => 0,
    export: refuse,
    import: refuse,
    file: refuse,
    [Symbol.asyncDispose]: nothing,
  }
}

async function refuse(): Promise<never> {
  throw new CoveError('unsupported', 'this node keeps no images', {}, { fix: 'Use the template `host`.' })
}

async function nothing(): Promise<void> {}
