import { expect, test } from 'vitest'
import * as z from 'zod'
import { jsonSchema } from './json-schema.ts'

test('a place that may be null has alternatives, not a list of types', () => {
  const schema = z.strictObject({
    name: z.string().min(1).nullable().describe('Its name.'),
    list: z.array(z.strictObject({ code: z.number().int().nullable() })).optional(),
  })
  const told = jsonSchema(schema, 'input')
  expect(JSON.stringify(told)).not.toMatch(/"type":\[|\$schema/)
  expect(told).toMatchObject({
    type: 'object',
    required: ['name'],
    additionalProperties: false,
    properties: {
      name: { description: 'Its name.', anyOf: [{ type: 'string', minLength: 1 }, { type: 'null' }] },
      list: { type: 'array', items: { properties: { code: { anyOf: [{ type: 'integer' }, { type: 'null' }] } } } },
    },
  })
})
