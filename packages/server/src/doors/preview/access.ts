import { CoveError, type Clock, type Sandbox, type SandboxId } from '@cove/domain'
import type { Audit } from '../../audit/audit.ts'
import { unauthenticated } from '../../auth/credentials.ts'
import type { KeyRing } from '../../auth/key-ring.ts'
import type { OriginCheck } from '../../auth/origin-check.ts'
import type { Principal } from '../../auth/principal.ts'
import { portAddress, type PortAddress, type PreviewHosts } from '../../ports/preview-hosts.ts'
import type { PreviewTokens } from '../../ports/preview-tokens.ts'
import type { Shares } from '../../ports/shares.ts'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
import { bad } from '../../sandboxes/request.ts'
import { sees } from '../../sandboxes/query.ts'
import { authorityOf, type Request } from '../exchange.ts'
import { StatusError } from '../json-error.ts'
import { previewCookies } from './headers.ts'
import { keyOf } from './key-of.ts'

export interface AccessParts {
  readonly sandboxes: Sandboxes
  /** What this server has heard of. */
  readonly known: (id: SandboxId) => Sandbox | undefined
  readonly shares: Shares
  readonly tokens: PreviewTokens
  readonly hosts: PreviewHosts
  readonly keys: KeyRing
  /** The signal of a key that opens; undefined for every other. */
  readonly livingKey: (id: string) => AbortSignal | undefined
  readonly origins: OriginCheck
  /** Counts a wrong key or link of an address; answers with the refusal when there are too many. */
  readonly failed: (from: string) => CoveError | undefined
  readonly audit: Audit
  readonly clock: Clock
}

/** Where a request wants to go. */
export interface Target {
  readonly address: PortAddress
  /** By its host name, as browsers do; else by headers. */
  readonly byHost: boolean
}

/** A request that may go in. */
export interface Opened extends Target {
  readonly sandbox: Sandbox
  /** The port is public: nobody was asked who they are. */
  readonly toEverybody?: true
  /** Aborts when what opened it is taken back. */
  readonly ended?: AbortSignal
}

/**
 * Who may reach a port: everybody when it is public, else whoever has a key or token that sees the sandbox, and
 * browsers with the cookie that a link became. To everybody else a sandbox that is not theirs looks like one that
 * does not exist.
 */
export class PreviewAccess {
  readonly #parts: AccessParts

  constructor(parts: AccessParts) {
    this.#parts = parts
  }

  open(request: Request, from: string, isUpgrade: boolean): Opened | Promise<Opened> {
    const { hosts, shares, known } = this.#parts
    const address = hosts.parse(authorityOf(request))
    if (address === undefined) return this.#byHeader(request, from)
    // The way of most requests: what is public and known has nothing to wait for.
    const sandbox = shares.isPublic(address) ? known(address.sandbox) : undefined
    if (sandbox === undefined) return this.#byHost(address, request, from, isUpgrade)
    return { address, byHost: true, sandbox, toEverybody: true }
  }

  async #byHost(address: PortAddress, request: Request, from: string, isUpgrade: boolean): Promise<Opened> {
    const { shares, sandboxes } = this.#parts
    const target: Target = { address, byHost: true }
    if (shares.isPublic(address)) {
      const sandbox = await sandboxes.find(address.sandbox)
      if (sandbox !== undefined) return { ...target, sandbox, toEverybody: true }
    }
    const principal = await this.#principal(request, from)
    if (principal !== undefined) return this.#forPrincipal(target, principal)
    const ended = await this.#cookie(request, address)
    if (ended === undefined) throw stranger()
    const refusal = isUpgrade ? foreignUpgrade(request) : foreignRequest(request)
    if (refusal !== undefined) throw refusal
    const sandbox = await sandboxes.find(address.sandbox)
    if (sandbox === undefined) throw unknownPort()
    return { ...target, sandbox, ended }
  }

  /** Undefined unless the request's cookie opens the port; else the signal of the key that it goes back to. */
  async #cookie(request: Request, address: PortAddress): Promise<AbortSignal | undefined> {
    const { tokens, livingKey, hosts } = this.#parts
    for (const value of previewCookies(request.headers.cookie, hosts.secure)) {
      const grant = await tokens.readCookie(value, address)
      const living = grant === undefined ? undefined : livingKey(grant.issuer)
      if (living !== undefined) return living
    }
    return undefined
  }

  /** A program that cannot choose a host: it says where to in headers, on the server's own hosts. */
  async #byHeader(request: Request, from: string): Promise<Opened> {
    const { origins, shares, sandboxes } = this.#parts
    const refusal = origins.check(authorityOf(request), request.headers.origin)
    if (refusal !== undefined) throw new StatusError(refusal.status, refusal.error)
    const { 'cove-sandbox': ref, 'cove-port': digits } = request.headers
    if (typeof ref !== 'string' || ref === '' || ref.length > 256) throw bad('Cove-Sandbox', 'must name one sandbox')
    if (typeof digits !== 'string' || !/^[1-9]\d{0,4}$/.test(digits) || Number(digits) > 65_535) {
      throw bad('Cove-Port', 'must be 1 to 65535')
    }
    const named = portAddress(digits, ref)
    if (named !== undefined && shares.isPublic(named)) {
      const sandbox = await sandboxes.find(named.sandbox)
      if (sandbox !== undefined) return { address: named, byHost: false, sandbox, toEverybody: true }
    }
    const principal = await this.#principal(request, from)
    if (principal === undefined) throw stranger()
    if (named !== undefined) return this.#forPrincipal({ address: named, byHost: false }, principal)
    const sandbox = await sandboxes.get(principal, ref).catch(() => undefined)
    if (sandbox === undefined) throw unknownPort()
    const address = { sandbox: sandbox.spec.id, port: Number(digits) }
    return { address, byHost: false, sandbox, ...endOf(principal) }
  }

  async #forPrincipal(target: Target, principal: Principal): Promise<Opened> {
    const sandbox = await this.#parts.sandboxes.find(target.address.sandbox)
    if (sandbox === undefined || !(principal.operator || sees(principal, sandbox.spec))) throw unknownPort()
    return { ...target, sandbox, ...endOf(principal) }
  }

  /** Undefined when no key of ours was sent; throws for a wrong one. */
  async #principal({ headers }: Request, from: string): Promise<Principal | undefined> {
    const key = keyOf(headers)
    if (key === undefined) return undefined
    const principal = await this.#parts.keys.verify(key)
    if (principal === undefined) throw this.#parts.failed(from) ?? unauthenticated()
    return principal
  }
}

function endOf({ ended }: Principal): { ended?: AbortSignal } {
  return ended === undefined ? {} : { ended }
}

/** Says the same of every port that is not public, whether its sandbox exists or not. */
function stranger(): CoveError {
  return new CoveError(
    'unauthenticated',
    'a key or a preview link is needed for this address',
    {},
    {
      fix: 'Open a link that `cove ports url <sandbox> <port>` prints. Programs send the API key as "Authorization: Bearer <key>" or "Cove-Key: <key>".',
    },
  )
}

/** The same for sandboxes of others and for those that never were. */
export function unknownPort(): CoveError {
  return new CoveError('sandbox-not-found', 'there is no sandbox at this address')
}

/** A page of another host may open a WebSocket and the browser sends the cookie along: only the page's own counts. */
function foreignUpgrade(request: Request): StatusError | undefined {
  const { origin } = request.headers
  if (origin !== undefined && isOwn(origin, authorityOf(request))) return undefined
  const what = origin === undefined ? 'a connection without an Origin' : 'a connection from a page of another host'
  return foreign(`${what} needs a key`)
}

/** What a page of another host makes the browser send is not the user's wish; following a link is. */
function foreignRequest(request: Request): StatusError | undefined {
  const { origin, 'sec-fetch-site': site, 'sec-fetch-mode': mode } = request.headers
  const isSafe = request.method === 'GET' || request.method === 'HEAD' || request.method === 'OPTIONS'
  const isForeign = origin !== undefined && !isOwn(origin, authorityOf(request))
  if (isForeign && !isSafe) return foreign('a request from a page of another host needs a key')
  if ((site === 'cross-site' || site === 'same-site') && mode !== 'navigate') {
    return foreign('what a page of another host loads needs a key')
  }
  return undefined
}

function foreign(message: string): StatusError {
  const fix = 'Open the page itself, send a key, or share the port.'
  return new StatusError(403, new CoveError('permission-denied', message, {}, { fix }))
}

function isOwn(origin: string, authority: string | undefined): boolean {
  if (!/^https?:\/\//.test(origin) || !URL.canParse(origin)) return false
  const from = new URL(origin)
  const own = `${from.protocol}//${authority ?? ''}`
  return URL.canParse(own) && new URL(own).host === from.host
}
