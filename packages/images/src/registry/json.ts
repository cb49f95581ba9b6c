import { CoveError } from '@cove/domain'

export type JsonObject = Readonly<Record<string, unknown>>

/** What others wrote is read here once; whatever is not as its specification says becomes `image-invalid`. */
export function parseJson(bytes: Uint8Array, what: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new CoveError('image-invalid', `${what} is not JSON`, {}, { cause: error })
  }
  return toObject(value, what)
}

export function toObject(value: unknown, what: string): JsonObject {
  if (isObject(value)) return value
  throw new CoveError('image-invalid', `${what} is not an object`)
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Absent and null are undefined. */
export function toOptionalText(value: unknown, what: string): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string' && !value.includes('\0')) return value
  throw new CoveError('image-invalid', `${what} is not a text`)
}

/** Absent and null are empty. */
export function toTexts(value: unknown, what: string): readonly string[] {
  return toList(value, what).map((entry) => {
    if (typeof entry === 'string' && !entry.includes('\0')) return entry
    throw new CoveError('image-invalid', `${what} is not a list of texts`)
  })
}

/** Absent and null are empty. */
export function toList(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return value
  throw new CoveError('image-invalid', `${what} is not a list`)
}
