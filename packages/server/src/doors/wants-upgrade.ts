import type { IncomingMessage } from 'node:http'

/**
 * True for a request that is to become a connection of another protocol. Clients of HTTP/2 offer `h2c` with every
 * request, and what follows such an offer is still HTTP, to be checked one by one; nor is a request with a body one
 * that could be switched at its end.
 */
export function wantsUpgrade(request: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  const hasBody = coding !== undefined || (length !== undefined && length !== '0')
  return !hasBody && protocolsOf(request).length > 0
}

/** The protocols that a request offers, without HTTP itself. */
export function protocolsOf({ headers }: IncomingMessage): readonly string[] {
  return (headers.upgrade ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '' && !/^(?:h2c?|http)(?:\/|$)/i.test(one))
}
