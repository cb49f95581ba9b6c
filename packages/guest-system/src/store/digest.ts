import { createHash } from 'node:crypto'

/** Hex digest (SHA-256) of a content, or of several texts, which cannot run into each other. */
export function digestOf(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash('sha256')
  if (parts.length === 1) return hash.update(parts[0] ?? '').digest('hex')
  for (const part of parts) hash.update(`${part.length}:`).update(part)
  return hash.digest('hex')
}
