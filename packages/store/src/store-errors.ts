import { CoveError, STORE_LIMITS, type LeaseId } from '@cove/domain'
import { compactedMessage, leaseNotFoundMessage } from './wording.ts'

export function storeClosed(): CoveError {
  return new CoveError('store-closed', 'the store is closed')
}

export function storeCompacted(revision: number, compacted: number): CoveError {
  return new CoveError('store-compacted', compactedMessage(revision, compacted), { revision, compacted })
}

export function tooManyLeases(): CoveError {
  return new CoveError('limit-reached', `the store has ${STORE_LIMITS.leases} leases already`)
}

export function leaseNotFound(lease: LeaseId): CoveError {
  return new CoveError('lease-not-found', leaseNotFoundMessage(lease), { lease: lease.slice(0, 80) })
}
