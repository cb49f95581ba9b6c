import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readApi } from './api-model.ts'
import { apiReference, errorReference } from './api-reference.ts'
import { openApi } from './openapi.ts'

/** Writes what is made from the protobuf files besides code: OpenAPI and the reference pages. Takes the image of `buf build`. */
const root = join(import.meta.dirname, '../../..')
const image = process.argv[2]
if (image === undefined) throw new Error('usage: main.ts <image of buf build>')
const model = readApi(image)
const { version } = JSON.parse(readFileSync(join(root, 'packages/api/package.json'), 'utf8')) as { version: string }

const document = JSON.stringify(openApi(model, version))
const literal = `'${document.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
writeFileSync(
  join(root, 'packages/api/src/gen/openapi.ts'),
  `/** The JSON surface as OpenAPI 3.1. Generated; do not edit. */\nexport const OPENAPI = ${literal}\n`,
)
const reference = join(root, 'docs/reference')
mkdirSync(reference, { recursive: true })
writeFileSync(join(reference, 'api.md'), apiReference(model))
writeFileSync(join(reference, 'errors.md'), errorReference())
