import type { Audit, AuditEntry } from './audit.ts'

export interface AuditRecord extends AuditEntry {
  readonly id: string
}

export interface AuditQuery {
  /** Absent: all of them. */
  readonly project?: string
  readonly key?: string
  /** What the action begins with. */
  readonly action?: string
  readonly target?: string
  /** Unix milliseconds: not before this moment. */
  readonly since?: number
  /** Unix milliseconds: before this moment. */
  readonly until?: number
  /** Only what failed. */
  readonly failed: boolean
  /** 1 to 1,000. */
  readonly size: number
  /** From the page before. */
  readonly token?: string
}

export interface AuditPage {
  /** Newest first. May be fewer than asked for although there are more, when much had to be skipped. */
  readonly records: readonly AuditRecord[]
  readonly next?: string
}

/** The audit log as somebody reads it. */
export interface AuditTrail extends Audit {
  list(query: AuditQuery): Promise<AuditPage>
  /** Entries that could not be kept since the start. */
  readonly lost: number
}

export function matchesAudit(entry: AuditEntry, query: AuditQuery): boolean {
  const { project, key, action, target, since = -Infinity, until = Infinity, failed } = query
  return (
    (project === undefined || entry.project === project) &&
    (key === undefined || entry.key === key) &&
    (action === undefined || entry.action.startsWith(action)) &&
    (target === undefined || entry.target === target) &&
    entry.at >= since &&
    entry.at < until &&
    !(failed && entry.outcome === 'ok')
  )
}
