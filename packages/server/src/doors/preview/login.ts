import { CoveError, type Clock } from '@cove/domain'
import type { Audit } from '../../audit/audit.ts'
import type { PortAddress, PreviewHosts } from '../../ports/preview-hosts.ts'
import { isLinkToken, type PreviewTokens } from '../../ports/preview-tokens.ts'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
import { authorityOf, type Exchange } from '../exchange.ts'
import { StatusError } from '../json-error.ts'
import { COOKIE, SECURE_COOKIE } from './headers.ts'

export interface LoginParts {
  readonly sandboxes: Sandboxes
  readonly tokens: PreviewTokens
  readonly hosts: PreviewHosts
  readonly livingKey: (id: string) => AbortSignal | undefined
  readonly failed: (from: string) => CoveError | undefined
  readonly audit: Audit
  readonly clock: Clock
}

/** The query without the tokens of links, and the first of those. Other values of `token` are the program's own. */
export function splitQuery(query: string): { readonly token?: string; readonly rest: string } {
  if (!query.includes('token=cvl1.')) return { rest: query }
  let token: string | undefined
  const rest: string[] = []
  for (const part of query.split('&')) {
    const value = part.startsWith('token=') ? part.slice(6) : undefined
    if (value === undefined || !isLinkToken(value)) rest.push(part)
    else token ??= value
  }
  return { rest: rest.join('&'), ...(token === undefined ? {} : { token }) }
}

/** Turns a link's token into a cookie of this host alone, and sends the browser to the same address without it. */
export async function logIn(exchange: Exchange, address: PortAddress, token: string, parts: LoginParts): Promise<void> {
  const { tokens, hosts, livingKey, sandboxes } = parts
  const grant = await tokens.readLink(token, address)
  if (grant === undefined || livingKey(grant.issuer) === undefined) throw parts.failed(exchange.from) ?? worthless()
  if (!(await tokens.use(grant))) throw worthless()
  const sandbox = await sandboxes.find(address.sandbox)
  const { value, expiresAt } = await tokens.cookie(grant)
  const { clock } = parts
  const seconds = Math.max(0, Math.floor((expiresAt - clock.now()) / 1000))
  const name = hosts.secure ? SECURE_COOKIE : COOKIE
  const secure = hosts.secure ? '; Secure' : ''
  const { rest } = splitQuery(exchange.query)
  // Absolute, for a path that begins with two slashes would name another host.
  const origin = hosts.origin(address, authorityOf(exchange.request))
  const { response } = exchange
  response.statusCode = 303
  response.setHeader('location', `${origin}${exchange.path}${rest === '' ? '' : `?${rest}`}`)
  response.setHeader('set-cookie', `${name}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}`)
  response.setHeader('cache-control', 'no-store')
  response.setHeader('referrer-policy', 'no-referrer')
  response.setHeader('content-length', 0)
  response.end()
  parts.audit.record({
    at: clock.now(),
    project: sandbox?.spec.project ?? '',
    key: grant.issuer,
    role: 'viewer',
    action: 'preview/open',
    target: address.sandbox,
    details: { port: String(address.port) },
    from: exchange.from,
    outcome: 'ok',
    requestId: exchange.requestId,
  })
}

function worthless(): StatusError {
  const fix = 'Make a new link with `cove ports url <sandbox> <port>`: each is good for one use within 10 minutes.'
  const message = 'this preview link was used already, has expired, or belongs to another address'
  return new StatusError(403, new CoveError('permission-denied', message, {}, { fix }))
}
