import { ScalarType, type DescEnum, type DescField, type DescMessage, type DescMethod } from '@bufbuild/protobuf'
import { MethodOptions_IdempotencyLevel } from '@bufbuild/protobuf/wkt'
import { neededRole } from '../../../packages/server/src/auth/permissions.ts'
import { reachable, type ApiModel } from './api-model.ts'
import { HTTP_PATHS, HTTP_SCHEMAS } from './http-paths.ts'

type Json = { readonly [key: string]: unknown }

/**
 * The JSON surface as an OpenAPI 3.1 document. Methods that stream are in it with the envelope of the Connect protocol
 * as their content type, for OpenAPI has no words for a sequence of messages.
 */
export function openApi(model: ApiModel, version: string): Json {
  const paths: Record<string, unknown> = {}
  for (const service of model.services) {
    for (const method of service.methods) paths[`/${service.typeName}/${method.name}`] = pathItem(method, model)
  }
  const schemas: Record<string, unknown> = {}
  for (const type of reachable(model.services)) {
    schemas[type.typeName] = type.kind === 'enum' ? enumSchema(type, model) : messageSchema(type, model)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Cove',
      version,
      summary: 'Computers for AI agents.',
      description:
        'The JSON surface of the native API: each unary method is a POST of its message. The same methods speak Connect, gRPC and gRPC-Web.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ key: [] }, { bearer: [] }],
    tags: [
      ...model.services.map(({ name, typeName }) => ({ name, description: model.comment(typeName) })),
      { name: 'Http', description: 'Plain HTTP beside the methods: content, event streams, health.' },
    ],
    paths: { ...paths, ...HTTP_PATHS },
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key or a token.' },
        key: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'An API key or a token.' },
      },
      schemas: { ...schemas, ...HTTP_SCHEMAS },
    },
  }
}

function pathItem(method: DescMethod, model: ApiModel): Json {
  const { parent, input, output, methodKind } = method
  const type = methodKind === 'unary' ? 'application/json' : 'application/connect+json'
  const [summary, ...rest] = sentences(model.comment(`${parent.typeName}.${method.name}`))
  const role = `Needs the role ${neededRole(parent.typeName, method.name)}.`
  return {
    post: {
      operationId: `${parent.name}_${method.name}`,
      tags: [parent.name],
      summary: summary ?? spaced(method.name),
      description: [...rest, role, ...(methodKind === 'unary' ? [] : ['Answers with a stream.'])].join(' '),
      ...(method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS ? { 'x-no-side-effects': true } : {}),
      requestBody: { required: true, content: { [type]: { schema: reference(input.typeName) } } },
      responses: {
        '200': { description: 'Done.', content: { [type]: { schema: reference(output.typeName) } } },
        default: {
          description: 'Refused or failed.',
          content: { 'application/json': { schema: reference('ConnectError') } },
        },
      },
    },
  }
}

function messageSchema(type: DescMessage, model: ApiModel): Json {
  const properties = Object.fromEntries(type.fields.map((field) => [field.jsonName, fieldSchema(field, model)]))
  const description = model.comment(type.typeName)
  return { type: 'object', ...(description === '' ? {} : { description }), properties }
}

function fieldSchema(field: DescField, model: ApiModel): Json {
  const alone =
    field.oneof === undefined ? '' : `At most one of ${field.oneof.fields.map((f) => f.jsonName).join(', ')}.`
  const description = [model.comment(`${field.parent.typeName}.${field.name}`), alone].filter((s) => s !== '').join(' ')
  const schema = valueSchema(field)
  return description === '' ? schema : { ...schema, description }
}

function valueSchema(field: DescField): Json {
  switch (field.fieldKind) {
    case 'list':
      return { type: 'array', items: elementSchema(field) }
    case 'map':
      return { type: 'object', additionalProperties: elementSchema(field) }
    default:
      return elementSchema(field)
  }
}

function elementSchema({ message, enum: enumeration, scalar }: DescField): Json {
  if (enumeration !== undefined) return reference(enumeration.typeName)
  if (message !== undefined) return WELL_KNOWN[message.typeName] ?? reference(message.typeName)
  return scalar === undefined ? {} : scalarSchema(scalar)
}

/** The mapping of protobuf to JSON (https://protobuf.dev/programming-guides/json/). */
const WELL_KNOWN: Readonly<Record<string, Json>> = {
  'google.protobuf.Timestamp': { type: 'string', format: 'date-time' },
  'google.protobuf.Duration': { type: 'string', pattern: '^-?[0-9]+(\\.[0-9]{1,9})?s$', examples: ['90s'] },
}

function scalarSchema(scalar: ScalarType): Json {
  switch (scalar) {
    case ScalarType.STRING:
      return { type: 'string' }
    case ScalarType.BOOL:
      return { type: 'boolean' }
    case ScalarType.BYTES:
      return { type: 'string', contentEncoding: 'base64' }
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { type: ['number', 'string'] }
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.SINT64:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return { type: ['string', 'integer'], description: 'A whole number of 64 bits; answers have it as text.' }
    default:
      return { type: 'integer' }
  }
}

function enumSchema(type: DescEnum, model: ApiModel): Json {
  const lines = type.values.flatMap((value) => {
    const comment = model.comment(`${type.typeName}.${value.name}`)
    return comment === '' ? [] : [`${value.name}: ${comment}`]
  })
  const description = [model.comment(type.typeName), ...lines].filter((line) => line !== '').join('\n')
  return {
    type: 'string',
    enum: type.values.map(({ name }) => name),
    ...(description === '' ? {} : { description }),
  }
}

const reference = (name: string): Json => ({ $ref: `#/components/schemas/${name}` })

export function sentences(text: string): string[] {
  return text === '' ? [] : text.split(/(?<=\.) (?=[A-Z`*])/)
}

/** `CreateSandbox` is "Create sandbox". */
function spaced(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}
