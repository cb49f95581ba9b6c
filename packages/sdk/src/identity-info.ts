import type { Role } from '@cove/domain'

/** Who a key or token makes its holder. */
export interface CallerInfo {
  readonly project: string
  readonly role: Role
  /** Id of the key or token; not secret. */
  readonly key: string
  /** May work in every project, and make projects. */
  readonly operator: boolean
  /** The one sandbox that a token opens; absent for keys. */
  readonly sandbox?: string
}

/** A project: whatever is made belongs to one. */
export interface ProjectInfo {
  readonly name: string
  readonly description: string
  readonly createdAt: Date
}

/** An API key without its secret, which is shown once only, when the key is made. */
export interface KeyInfo {
  readonly id: string
  readonly project: string
  /** For people; need not be unique. Empty when none was given. */
  readonly name: string
  readonly role: Role
  readonly createdAt: Date
  /** Absent for never. */
  readonly expiresAt?: Date
  /** Absent while it opens. */
  readonly revokedAt?: Date
  /** To the minute; absent when it was not used since the server started keeping count. */
  readonly lastUsedAt?: Date
  /** The first characters of the key, to tell keys apart. */
  readonly prefix: string
}

/** One call that changed something, or tried to. */
export interface AuditEvent {
  readonly id: string
  readonly at: Date
  readonly project: string
  /** Id of the key or token that was used. */
  readonly key: string
  /** Absent where nobody was let in. */
  readonly role?: Role
  /** What was asked, such as `SandboxService/CreateSandbox` or `mcp/execute`. */
  readonly action: string
  /** What it was asked of: the id of a sandbox or key, or the name of a project. */
  readonly target: string
  /** Facts worth keeping, such as the path of a file. Never content, never a secret. */
  readonly details: Readonly<Record<string, string>>
  /** Address of the caller. */
  readonly from: string
  /** `ok`, or the code of the error. */
  readonly outcome: string
  readonly requestId: string
}
