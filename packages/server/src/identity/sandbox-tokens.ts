import type { KeyObject } from 'node:crypto'
import { CoveError, randomId, roleAtLeast, type Clock, type Random, type Role, type Sandbox } from '@cove/domain'
import type { Principal } from '../auth/principal.ts'
import { makeToken, readToken, type TokenClaims } from '../auth/sandbox-token.ts'
import { keyEnded } from './access-view.ts'
import type { Expiries } from './expiries.ts'
import { checkExpiry } from './request.ts'

export const LONGEST_TOKEN_MS = 24 * 3_600_000

/** Tokens that are remembered while they are used. The one not used for longest makes room, and its streams end. */
const REMEMBERED = 10_000

export interface SandboxTokensOptions {
  readonly secret: KeyObject
  readonly clock: Clock
  readonly random: Random
  readonly expiries: Expiries
  /** The signal of a key that still opens; undefined when it does not. */
  readonly livingKey: (id: string) => AbortSignal | undefined
  /** Whatever its project; undefined when it is not known. */
  readonly sandbox: (id: string) => Promise<Sandbox | undefined>
}

interface Used {
  readonly claims: TokenClaims
  readonly principal: Principal
  readonly end: (why: CoveError) => void
}

/** Tokens that open one sandbox. They are signed, not stored, and end with the sandbox or with the key that made them. */
export class SandboxTokens {
  readonly #options: SandboxTokensOptions
  /** The least recently used first. */
  readonly #used = new Map<string, Used>()

  constructor(options: SandboxTokensOptions) {
    this.#options = options
  }

  get remembered(): number {
    return this.#used.size
  }

  make(caller: Principal, sandbox: Sandbox, role: Role, expiresIn = LONGEST_TOKEN_MS) {
    if (caller.sandbox !== undefined) throw new CoveError('permission-denied', 'a token makes no tokens')
    if (role === 'admin') throw new CoveError('invalid-argument', 'role must be viewer or member', { field: 'role' })
    if (!roleAtLeast(caller.role, role)) {
      throw new CoveError('permission-denied', `a key with the role ${caller.role} makes no token with ${role}`)
    }
    const { clock, random, secret } = this.#options
    const ms = checkExpiry(expiresIn, LONGEST_TOKEN_MS, '24 hours')
    const seconds = Math.floor(Math.min(clock.now() + ms, caller.expiresAt ?? Infinity) / 1000)
    const expiresAt = seconds * 1000
    const claims = { id: randomId(random), sandbox: sandbox.spec.id, role, expiresAt, issuer: caller.key }
    return { token: makeToken(secret, claims), expiresAt, id: claims.id }
  }

  async verify(token: string): Promise<Principal | undefined> {
    const { secret, clock, livingKey } = this.#options
    const claims = readToken(secret, token)
    if (claims === undefined || claims.expiresAt <= clock.now()) return undefined
    const known = this.#used.get(claims.id)
    if (known !== undefined) {
      this.#used.delete(claims.id)
      this.#used.set(claims.id, known)
      return known.principal
    }
    if (livingKey(claims.issuer) === undefined) return undefined
    const sandbox = await this.#options.sandbox(claims.sandbox)
    // Asked again, for the look may have taken a while.
    const issuer = livingKey(claims.issuer)
    if (sandbox === undefined || hasEnded(sandbox) || issuer === undefined) return undefined
    return (this.#used.get(claims.id) ?? this.#remember(claims, sandbox, issuer)).principal
  }

  /** To be told of every change of a sandbox. */
  changed(sandbox: Sandbox): void {
    if (this.#used.size === 0 || !hasEnded(sandbox)) return
    for (const { claims, end } of this.#used.values()) {
      if (claims.sandbox === sandbox.spec.id) end(keyEnded('the token ended with its sandbox'))
    }
  }

  #remember(claims: TokenClaims, { spec }: Sandbox, issuer: AbortSignal): Used {
    const { expiries } = this.#options
    const ending = new AbortController()
    const forget = expiries.add(claims.expiresAt, () => end(keyEnded('the token has expired')))
    const follow = (): void => end(issuer.reason as CoveError)
    const end = (why: CoveError): void => {
      this.#used.delete(claims.id)
      forget()
      issuer.removeEventListener('abort', follow)
      ending.abort(why)
    }
    issuer.addEventListener('abort', follow, { once: true })
    const { id, role, sandbox, expiresAt } = claims
    const principal: Principal = {
      key: id,
      issuer: claims.issuer,
      project: spec.project,
      sandbox,
      role,
      operator: false,
      ended: ending.signal,
      expiresAt,
    }
    const used = { claims, principal, end }
    this.#used.set(id, used)
    for (const oldest of this.#used.values()) {
      if (this.#used.size <= REMEMBERED) break
      oldest.end(keyEnded('too many tokens are used at once; call again'))
    }
    return used
  }
}

function hasEnded({ status }: Sandbox): boolean {
  return status.state === 'deleting' || status.state === 'deleted'
}
