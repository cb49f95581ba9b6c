import type { OriginCheck } from '../auth/origin-check.ts'
import { authorityOf, type Exchange } from './exchange.ts'

const METHODS = 'GET, HEAD, POST, PUT, DELETE'
/** What clients of the doors send: keys, the Connect, gRPC-Web and MCP protocols, parts of files. */
const REQUEST_HEADERS =
  'accept, authorization, content-type, cove-project, range, x-api-key, x-request-id, ' +
  'connect-protocol-version, connect-timeout-ms, grpc-timeout, x-grpc-web, x-user-agent, ' +
  'last-event-id, mcp-method, mcp-name, mcp-protocol-version, mcp-session-id'
const ANSWER_HEADERS =
  'accept-ranges, content-disposition, content-range, retry-after, x-cove-mode, x-request-id, ' +
  'grpc-message, grpc-status, mcp-session-id'
/** Browsers keep a permission no longer than this. */
const MAX_AGE_SECONDS = 7200

/**
 * Lets pages of allowed origins read the answer. They are those that the check of origins lets pass; others get no
 * such header, and the browser shows them nothing. Cookies are never asked for: a page has its key or has none.
 *
 * True when the request was a browser's question whether it may ask, which is answered here: it carries no key.
 */
export function answerOrigin({ request, response }: Exchange, origins: OriginCheck): boolean {
  const { origin } = request.headers
  if (origin === undefined || origins.check(authorityOf(request), origin) !== undefined) return false
  response.setHeader('access-control-allow-origin', origin)
  response.setHeader('vary', 'origin')
  if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) {
    response.setHeader('access-control-expose-headers', ANSWER_HEADERS)
    return false
  }
  response.setHeader('access-control-allow-methods', METHODS)
  response.setHeader('access-control-allow-headers', REQUEST_HEADERS)
  response.setHeader('access-control-max-age', MAX_AGE_SECONDS)
  if (request.headers['access-control-request-private-network'] === 'true') {
    response.setHeader('access-control-allow-private-network', 'true')
  }
  response.statusCode = 204
  response.end()
  return true
}
