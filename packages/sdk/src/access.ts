import { FileService, IdentityService, SignFileUrlRequest_Operation as Operation } from '@cove/api'
import type { Role } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import { roleNumber } from './convert/identity.ts'
import { dateOf, durationOf } from './convert/time.ts'
import type { Rpc } from './wire/rpc.ts'

/** What is handed to others so that they can do one thing without a key. */

/** What a token for a sandbox may do, and for how long. */
export interface CreateTokenOptions extends CallOptions {
  /** `viewer` or `member`, the default; never above the caller's own. */
  readonly role?: Exclude<Role, 'admin'>
  /** Milliseconds. Default and maximum 24 hours; it ends with the sandbox in any case. */
  readonly expiresIn?: number
}

/** A token that opens one sandbox and nothing else. */
export interface SandboxToken {
  /** Used like an API key. It is not shown again. */
  readonly token: string
  readonly expiresAt: Date
}

/** What a signed address may do, and for how long. */
export interface SignUrlOptions extends CallOptions {
  /** `write` needs the role `member`. Default `read`. */
  readonly operation?: 'read' | 'write'
  /** Milliseconds. Default 1 hour, at most 7 days; it ends with the sandbox in any case. */
  readonly expiresIn?: number
  /** Whose rights the reader or writer has: `root` or `user`, the default. */
  readonly user?: string
}

/** An address that opens without a key until it expires. */
export interface SignedUrl {
  readonly url: string
  readonly expiresAt: Date
}

export async function createToken(rpc: Rpc, sandbox: string, options: CreateTokenOptions): Promise<SandboxToken> {
  const request = { sandbox, role: roleNumber(options.role), ...expiry(options.expiresIn) }
  const answer = await rpc.unary(IdentityService.method.createSandboxToken, request, options)
  const expiresAt = answer.expiresAt === undefined ? new Date(0) : dateOf(answer.expiresAt)
  return { token: answer.token, expiresAt }
}

/** Signing changes nothing, so that it may be repeated. */
export async function signUrl(rpc: Rpc, sandbox: string, path: string, options: SignUrlOptions): Promise<SignedUrl> {
  const operation = options.operation === 'write' ? Operation.WRITE : Operation.READ
  const request = { sandbox, path, user: options.user ?? '', operation, ...expiry(options.expiresIn) }
  const answer = await rpc.unary(FileService.method.signFileUrl, request, { ...options, idempotent: true })
  const expiresAt = answer.expiresAt === undefined ? new Date(0) : dateOf(answer.expiresAt)
  return { url: rpc.address(answer.path), expiresAt }
}

export const expiry = (ms: number | undefined) => (ms === undefined ? {} : { expiresIn: durationOf(ms) })
