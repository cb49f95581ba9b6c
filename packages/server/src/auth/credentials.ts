import type { IncomingHttpHeaders } from 'node:http'
import { CoveError } from '@cove/domain'

/** Longer than every key; whatever is longer is none. */
const LONGEST = 512

/** The token that a request carries: `Authorization: Bearer …`, or `X-API-Key: …`. */
export function tokenOf(headers: IncomingHttpHeaders): string | undefined {
  const { authorization } = headers
  const token =
    authorization === undefined ? headers['x-api-key'] : /^bearer +(\S+) *$/i.exec(authorization.slice(0, 1024))?.[1]
  if (typeof token !== 'string' || token.length === 0 || token.length > LONGEST) return undefined
  return token
}

/** What whoever comes without a valid key is told, on every path. */
export function unauthenticated(): CoveError {
  return new CoveError('unauthenticated', 'a valid API key is needed')
}
