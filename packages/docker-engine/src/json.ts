import { CoveError } from '@cove/domain'

export type JsonObject = Readonly<Record<string, unknown>>

/** What the engine says is read here once; whatever is not as its contract says becomes an error, not a guess. */
export function toObject(value: unknown, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject
  throw unexpected(what)
}

export function toList(value: unknown, what: string): readonly unknown[] {
  if (value === null || value === undefined) return []
  if (Array.isArray(value)) return value
  throw unexpected(what)
}

export function toText(object: JsonObject, name: string): string {
  const value = object[name]
  if (typeof value === 'string') return value
  throw unexpected(name)
}

export function toNumber(object: JsonObject, name: string): number {
  const value = object[name]
  if (typeof value === 'number') return value
  throw unexpected(name)
}

/** Absent and null are empty. */
export function toTexts(value: unknown, what: string): Readonly<Record<string, string>> {
  if (value === null || value === undefined) return {}
  const entries = Object.entries(toObject(value, what))
  return Object.fromEntries(
    entries.map(([name, text]) => {
      if (typeof text !== 'string') throw unexpected(`${what}.${name}`)
      return [name, text]
    }),
  )
}

/** `NAME=value` texts. */
export function toVariables(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(
    toList(value, 'Env').map((entry) => {
      const text = String(entry)
      const mark = text.indexOf('=')
      return mark < 0 ? [text, ''] : [text.slice(0, mark), text.slice(mark + 1)]
    }),
  )
}

function unexpected(what: string): CoveError {
  return new CoveError('driver-failed', `the Docker Engine answered something else than its contract says: ${what}`)
}
