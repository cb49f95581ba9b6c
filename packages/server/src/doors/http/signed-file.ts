import { CoveError } from '@cove/domain'
import type { Authenticator } from '../../auth/authenticator.ts'
import type { Principal } from '../../auth/principal.ts'
import type { FileUrls } from '../../identity/file-urls.ts'
import type { Exchange } from '../exchange.ts'
import type { Query } from './query.ts'

export interface SignedFiles {
  readonly urls: FileUrls
  readonly callers: Authenticator
}

/** True for an address that says it is signed. */
export const isSignedQuery = (query: string): boolean => /(?:^|&)signature=/.test(query)

/**
 * Pages of every origin may use a signed address: it says all by itself, and no cookie or key of the browser is looked
 * at, so there is nothing that a foreign page could abuse.
 */
export function allowEveryOrigin({ request, response }: Exchange): void {
  response.setHeader('access-control-allow-origin', '*')
  response.setHeader('access-control-expose-headers', 'content-length, content-range, x-cove-mode, x-request-id')
  response.setHeader('cross-origin-resource-policy', 'cross-origin')
  response.setHeader('referrer-policy', 'no-referrer')
  if (request.method !== 'OPTIONS') return
  response.setHeader('access-control-allow-methods', 'GET, HEAD, PUT')
  response.setHeader('access-control-allow-headers', 'content-type, range, x-request-id')
  response.setHeader('access-control-max-age', '600')
}

/** Who acts by the signature of the address: for exactly its file, its operation and its time. */
export async function signer(
  { request, from }: Exchange,
  sandbox: string,
  query: Query,
  { urls, callers }: SignedFiles,
): Promise<Principal> {
  const tooMany = callers.stranger(from)
  if (tooMany !== undefined) throw tooMany
  const signed = await urls.verify(sandbox, query.all)
  if (signed === undefined) throw callers.failed(from) ?? refused('the address is not one that was signed here')
  const operation = request.method === 'PUT' ? 'write' : 'read'
  if (signed.grant.operation !== operation) throw refused(`the address was signed to ${signed.grant.operation} only`)
  return signed.principal
}

function refused(why: string): CoveError {
  return new CoveError('permission-denied', why, {}, { fix: 'Use the address as it was given, or ask for a new one.' })
}
