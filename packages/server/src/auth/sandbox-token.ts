import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'
import type { Role, SandboxId } from '@cove/domain'

/** What a token for one sandbox says. */
export interface TokenClaims {
  /** Names the token; not secret. */
  readonly id: string
  readonly sandbox: SandboxId
  readonly role: Exclude<Role, 'admin'>
  /** Unix milliseconds, whole seconds. */
  readonly expiresAt: number
  /** Id of the key that made it, and with which it ends. */
  readonly issuer: string
}

export const TOKEN_PREFIX = 'cove_sbx_'

/** Token id, sandbox, role, expiry in seconds, key, signature. */
const TOKEN =
  /^cove_sbx_([a-z2-7]{16})\.([a-z2-7]{16})\.([vm])\.([0-9a-z]{1,9})\.([a-z0-9-]{1,64})\.([A-Za-z0-9_-]{43})$/

/** Nothing of it is kept: the signature says that a server with this secret made it. */
export function makeToken(secret: KeyObject, claims: TokenClaims): string {
  const { id, sandbox, role, expiresAt, issuer } = claims
  const seconds = Math.floor(expiresAt / 1000).toString(36)
  const said = `${TOKEN_PREFIX}${id}.${sandbox}.${role === 'viewer' ? 'v' : 'm'}.${seconds}.${issuer}`
  return `${said}.${sign(secret, said)}`
}

/** Undefined for whatever this secret did not sign. Whether it still opens something is for the caller to find out. */
export function readToken(secret: KeyObject, token: string): TokenClaims | undefined {
  const [, id, sandbox, role, seconds, issuer, signature] = TOKEN.exec(token) ?? []
  if (id === undefined || sandbox === undefined || seconds === undefined || issuer === undefined) return undefined
  // As texts: of the last character not all bits are used, and only one of its spellings is the right one.
  const right = sign(secret, token.slice(0, token.lastIndexOf('.')))
  if (!timingSafeEqual(Buffer.from(signature ?? ''), Buffer.from(right))) return undefined
  return {
    id,
    sandbox: sandbox as SandboxId,
    role: role === 'v' ? 'viewer' : 'member',
    expiresAt: Number.parseInt(seconds, 36) * 1000,
    issuer,
  }
}

function sign(secret: KeyObject, said: string): string {
  return createHmac('sha256', secret).update(said).digest('base64url')
}
