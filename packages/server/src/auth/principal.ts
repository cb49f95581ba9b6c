import { CoveError, roleAtLeast, type Role, type SandboxId } from '@cove/domain'

/** What a caller can see at all: the sandboxes of one project, or one of them only. */
export interface Scope {
  readonly project: string
  readonly sandbox?: SandboxId
  /** May use what belongs to the node itself. */
  readonly operator?: boolean
}

/** Who calls. */
export interface Principal extends Scope {
  /** Id of the key or token; not secret. */
  readonly key: string
  readonly role: Role
  /** May work in every project, and make projects. */
  readonly operator: boolean
  /** Aborts when the key is revoked or expires: what it opened ends then. Absent for keys that last. */
  readonly ended?: AbortSignal
  /** Unix milliseconds at which the key or token opens nothing any more; what it signs does not outlive it. */
  readonly expiresAt?: number
  /** Id of the key that made the token; absent for keys. */
  readonly issuer?: string
}

/** Throws `permission-denied` unless the caller's role is enough. */
export function requireRole({ role }: Principal, least: Role): void {
  if (roleAtLeast(role, least)) return
  throw new CoveError(
    'permission-denied',
    `this needs a key with the role ${least}; this one has the role ${role}`,
    { role, needs: least },
    { fix: `Ask an admin of the project for a key: \`cove key create --role ${least}\`.` },
  )
}
