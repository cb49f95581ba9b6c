import { CoveError, STORE_LIMITS } from '@cove/domain'

export function storeClosed(): CoveError {
  return new CoveError('store-closed', 'the store is closed')
}

export function storeCompacted(revision: number, compacted: number): CoveError {
  return new CoveError('store-compacted', compactedMessage(revision, compacted), { revision, compacted })
}

export function compactedMessage(revision: number, compacted: number): string {
  return `revision ${revision} is no longer kept; history was compacted at ${compacted}`
}

export function tooManyLeases(): CoveError {
  return new CoveError('limit-reached', `the store has ${STORE_LIMITS.leases} leases already`)
}
