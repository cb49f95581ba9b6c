import type { Role } from '@cove/domain'
import { bad } from '../sandboxes/request.ts'

export interface NewProject {
  readonly name: string
  readonly description: string
}

export interface NewKey {
  readonly project: string
  readonly name: string
  readonly role: Role
  /** Milliseconds; absent for never. */
  readonly expiresIn?: number
}

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const DESCRIPTION_BYTES = 1024
const KEY_NAME_BYTES = 128
const LONGEST_EXPIRY_MS = 8 * 365 * 24 * 3_600_000

export const isProjectName = (name: string): boolean => NAME.test(name)

export function checkProject({ name, description }: NewProject): void {
  if (!isProjectName(name)) {
    throw bad('name', 'must be 1 to 63 of a-z, 0-9 and dash, with a letter or digit at both ends')
  }
  checkText(description, 'description', DESCRIPTION_BYTES)
}

export function checkKey({ name, expiresIn }: NewKey): void {
  checkText(name, 'name', KEY_NAME_BYTES)
  if (expiresIn !== undefined) checkExpiry(expiresIn, LONGEST_EXPIRY_MS, '8 years')
}

/** Milliseconds: at least one second. */
export function checkExpiry(ms: number, longest: number, words: string): number {
  if (!Number.isFinite(ms) || ms < 1_000 || ms > longest) throw bad('expiresIn', `must be 1 second to ${words}`)
  return Math.floor(ms)
}

/** What ends a line, and what makes a text look like another one. */
const UNREADABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u

/** One line for people. */
function checkText(text: string, field: string, bytes: number): void {
  if (Buffer.byteLength(text) > bytes) throw bad(field, `must have at most ${bytes} bytes`)
  if (UNREADABLE.test(text)) throw bad(field, 'must be one line without control characters')
}
