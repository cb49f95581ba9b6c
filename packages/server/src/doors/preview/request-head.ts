import { CoveError } from '@cove/domain'
import type { PreviewHosts } from '../../ports/preview-hosts.ts'
import { authorityOf, type Request } from '../exchange.ts'
import { StatusError } from '../json-error.ts'
import type { Opened } from './access.ts'
import { requestHeaders } from './headers.ts'
import { isSecret } from './key-of.ts'

/** How the end of a request's body is told to the server. */
export type BodyFraming = 'none' | 'chunked' | { readonly length: string }

/** How the client has told it; its own parser has refused what contradicts itself. `unsupported` for other codings. */
export function bodyFraming(request: Request): BodyFraming {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  if ('stream' in request) {
    if (request.stream.endAfterHeaders) return length === '0' ? { length } : 'none'
    return length === undefined ? 'chunked' : { length }
  }
  if (coding === undefined) return length === undefined ? 'none' : { length }
  if (coding.trim().toLowerCase() === 'chunked') return 'chunked'
  // It ends here like every header of one connection, and without it the body would mean something else.
  throw new StatusError(501, new CoveError('unsupported', 'the only transfer coding understood here is chunked'))
}

/** Request line and headers as they go in, without framing and `Connection`, and without the empty line. */
export function requestHead(
  request: Request,
  target: string,
  { address, byHost }: Opened,
  from: string,
  hosts: PreviewHosts,
): string {
  const { headers, rawHeaders } = request
  const authority = authorityOf(request) ?? ''
  // By header the host is the API's and means nothing inside; what listens there knows itself as localhost.
  const host = byHost ? authority : `localhost:${address.port}`
  const kept = requestHeaders(rawHeaders, headers.connection, isSecret)
  let head = `${request.method ?? 'GET'} ${target} HTTP/1.1\r\nhost: ${host}\r\n`
  for (let at = 0; at < kept.length; at += 2) head += `${kept[at]}: ${kept[at + 1]}\r\n`
  const proto = hosts.secure ? 'https' : 'http'
  const before = hosts.isBehindProxy ? headers['x-forwarded-for'] : undefined
  const chain = typeof before === 'string' && /^[\x20-\x7e]{1,1024}$/.test(before) ? `${before}, ${from}` : from
  return (
    `${head}x-forwarded-for: ${chain}\r\nx-forwarded-host: ${authority}\r\nx-forwarded-proto: ${proto}\r\n` +
    `forwarded: for=${from.includes(':') ? `"[${from}]"` : from};host="${authority}";proto=${proto}\r\n`
  )
}
