import { bad } from '../sandboxes/request.ts'
import type { AuditEntry } from './audit.ts'
import { matchesAudit, type AuditPage, type AuditQuery, type AuditRecord, type AuditTrail } from './audit-trail.ts'

/** An audit log that ends with the process; the oldest entries go first. For servers without a data directory. */
export class MemoryAudit implements AuditTrail {
  readonly lost = 0
  readonly #most: number
  readonly #records: AuditRecord[] = []
  #made = 0

  constructor(most = 1_000) {
    this.#most = most
  }

  record(entry: AuditEntry): void {
    this.#records.push({ ...entry, id: String(++this.#made) })
    if (this.#records.length > this.#most) this.#records.shift()
  }

  async list(query: AuditQuery): Promise<AuditPage> {
    const before = query.token === undefined ? Infinity : Number(query.token)
    if (Number.isNaN(before)) throw bad('pageToken', 'is not one that a list answered with')
    const records: AuditRecord[] = []
    for (const record of this.#records.toReversed()) {
      if (Number(record.id) >= before || !matchesAudit(record, query)) continue
      if (records.length === query.size) return { records, next: records.at(-1)?.id ?? '' }
      records.push(record)
    }
    return { records }
  }
}
