import type { IncomingHttpHeaders } from 'node:http'

/** How every key and token of ours begins: whatever else is sent is for the program behind the port. */
const OURS = /^cove_[\x21-\x7e]{1,506}$/

/** The key of ours that a request carries. `Cove-Key` leaves the other headers to the program behind the port. */
export function keyOf(headers: IncomingHttpHeaders): string | undefined {
  const { 'cove-key': own, authorization, 'x-api-key': other } = headers
  if (typeof own === 'string' && OURS.test(own)) return own
  const bearer = authorization === undefined ? undefined : bearerOf(authorization)
  if (bearer !== undefined && OURS.test(bearer)) return bearer
  return typeof other === 'string' && OURS.test(other) ? other : undefined
}

/** True for a header that must not go in: it has a key of ours, good or not, however it is written. */
export function isSecret(name: string, value: string): boolean {
  return (name === 'authorization' || name === 'x-api-key') && /(?:^|[^A-Za-z0-9_])cove_/.test(value)
}

function bearerOf(authorization: string): string | undefined {
  return /^bearer +(\S+) *$/i.exec(authorization.slice(0, 1024))?.[1]
}
