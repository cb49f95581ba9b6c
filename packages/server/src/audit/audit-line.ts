import { ROLES } from '@cove/domain'
import type { AuditEntry } from './audit.ts'

/** Characters of one text. Longer ones are cut: no line may push out many others. */
const LONGEST = 1_024

/** One entry as a line of JSON with its line end. */
export function renderAuditLine(entry: AuditEntry): string {
  const details: Record<string, string> = {}
  for (const [name, value] of Object.entries(entry.details)) details[name] = value.slice(0, LONGEST)
  return `${JSON.stringify({ ...entry, target: entry.target.slice(0, LONGEST), details })}\n`
}

/** Undefined for a line that was torn, or that this version does not know. */
export function parseAuditLine(line: Buffer): AuditEntry | undefined {
  try {
    const entry: unknown = JSON.parse(line.toString())
    return isEntry(entry) ? entry : undefined
  } catch {
    return undefined
  }
}

function isEntry(value: unknown): value is AuditEntry {
  if (typeof value !== 'object' || value === null) return false
  const entry = value as Readonly<Record<string, unknown>>
  const texts = ['project', 'key', 'action', 'target', 'from', 'outcome', 'requestId']
  return (
    Number.isFinite(entry['at']) &&
    texts.every((name) => typeof entry[name] === 'string') &&
    ROLES.some((role) => role === entry['role']) &&
    typeof entry['details'] === 'object' &&
    entry['details'] !== null &&
    Object.values(entry['details']).every((detail) => typeof detail === 'string')
  )
}
