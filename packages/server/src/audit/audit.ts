import type { Role } from '@cove/domain'

/** One mutating call, whatever door it came through. Never content, never a secret. */
export interface AuditEntry {
  /** Unix milliseconds. */
  readonly at: number
  readonly project: string
  /** Id of the key or token. */
  readonly key: string
  readonly role: Role
  /** `SandboxService/CreateSandbox`, `files/put`, `mcp/execute`, `preview/open`, … */
  readonly action: string
  /** Id of the sandbox or key, or name of the project. Empty when the call names nothing. */
  readonly target: string
  readonly details: Readonly<Record<string, string>>
  /** Address of the caller. */
  readonly from: string
  /** `ok`, or the code of the error. */
  readonly outcome: string
  readonly requestId: string
}

/** Where doors leave word of what was asked. */
export interface Audit {
  /** Never throws and never waits for a disk that stands still; what it took survives a crash of the daemon. */
  record(entry: AuditEntry): void
}

export const noAudit: Audit = { record: () => undefined }
