import * as z from 'zod'

export type JsonSchema = Record<string, unknown>

/** The schema in JSON, in words that also narrow readers know: one type for each place, alternatives as `anyOf`. */
export function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, target: 'draft-2020-12' })
  return portable(rest) as JsonSchema
}

function portable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(portable)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, part]) => [key, portable(part)] as const)
  const { type, description, ...rest }: JsonSchema = Object.fromEntries(entries)
  if (!Array.isArray(type)) return Object.fromEntries(entries)
  const anyOf = type.map((one: unknown) => (one === 'null' ? { type: one } : { type: one, ...rest }))
  return description === undefined ? { anyOf } : { description, anyOf }
}
