import * as api from '@cove/api'
import { expect, test } from 'vitest'
import { ask } from '../../../test/support/clients.ts'
import { openHouse } from '../../../test/support/harness.ts'

interface Document {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, { operationId?: string }>>>>
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> }
}

test('everybody may read the OpenAPI document: every method is in it, and every reference leads somewhere', async () => {
  await using house = await openHouse()
  const base = await house.listen()
  const { status, headers, body } = await ask(`${base}/openapi.json`, { key: null })
  expect({ status, type: headers['content-type'] }).toEqual({ status: 200, type: 'application/json' })
  const document = JSON.parse(body.toString()) as Document
  expect(document.openapi).toBe('3.1.0')

  const services = Object.values(api).filter((value) => 'kind' in value && value.kind === 'service')
  expect(services.length).toBeGreaterThan(6)
  for (const { typeName, methods } of services) {
    for (const { name } of methods) {
      expect(document.paths[`/${typeName}/${name}`]?.['post']?.operationId).toBe(
        `${typeName.split('.').at(-1)}_${name}`,
      )
    }
  }
  const references = [...body.toString().matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name)
  expect(references.length).toBeGreaterThan(100)
  expect(references.filter((name) => name === undefined || !(name in document.components.schemas))).toEqual([])
})
