/** The plain HTTP paths, for which there is no protobuf. docs/api.md tells more of them. */

const sandbox = {
  name: 'sandbox',
  in: 'path',
  required: true,
  description: 'Id, or name of a live sandbox.',
  schema: { type: 'string' },
}
const error = {
  description: 'Refused or failed.',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
}
const query = (name: string, description: string, schema: object, required = false): object => ({
  name,
  in: 'query',
  required,
  description,
  schema,
})
const path = query('path', 'Absolute path in the sandbox.', { type: 'string' }, true)
const user = query('user', 'Acts with the rights of this user. Default `user`.', { type: 'string' })
const expires = query('expires', 'With `signature`: of an address that FileService/SignFileUrl answered with.', {
  type: 'string',
})
const signature = query('signature', 'Stands in for a key, for this file and operation only.', { type: 'string' })
const bytes = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } }
const text = { 'text/plain': { schema: { type: 'string' } } }
const events = {
  description: 'A stream of events; docs/api.md has its frames.',
  content: { 'application/vnd.cove.events': { schema: { type: 'string', format: 'binary' } } },
}
const open = { security: [] }
const tags = ['Http']

export const HTTP_PATHS = {
  '/v1/sandboxes/{sandbox}/files': {
    parameters: [sandbox, path, user, expires, signature],
    get: {
      operationId: 'getFile',
      tags,
      summary: 'Content of a file, whole or in part (`Range`).',
      parameters: [
        query('offset', 'First byte.', { type: 'integer', minimum: 0 }),
        query('length', 'Bytes.', { type: 'integer', minimum: 0 }),
      ],
      responses: {
        '200': { description: 'All of it.', content: bytes },
        '206': { description: 'The part that was asked for.', content: bytes },
        default: error,
      },
    },
    put: {
      operationId: 'putFile',
      tags,
      summary: 'Replaces a file in one step when its last byte has come.',
      parameters: [
        query('mode', 'Permission bits of a new file, octal. Default 644.', {
          type: 'string',
          pattern: '^[0-7]{3,4}$',
        }),
        query('parents', 'Makes missing folders. Default true.', { type: 'boolean' }),
      ],
      requestBody: { required: true, content: bytes },
      responses: {
        '200': {
          description: 'What is there now.',
          content: { 'application/json': { schema: { $ref: '#/components/schemas/cove.v1.FileInfo' } } },
        },
        default: error,
      },
    },
  },
  '/v1/sandboxes/{sandbox}/processes': {
    parameters: [sandbox],
    post: {
      operationId: 'streamProcess',
      tags,
      summary: 'Starts a process and streams from its first byte.',
      requestBody: {
        required: true,
        content: { 'application/json': { schema: { $ref: '#/components/schemas/cove.v1.StartProcessRequest' } } },
      },
      responses: { '200': events, default: error },
    },
  },
  '/v1/sandboxes/{sandbox}/processes/{process}/output': {
    parameters: [
      sandbox,
      { name: 'process', in: 'path', required: true, description: 'Id of the process.', schema: { type: 'string' } },
      query('offset', 'Output from this byte on; default: only what comes from now on.', {
        type: 'integer',
        minimum: 0,
      }),
      query('incarnation', "When not 0, must be the sandbox's current one.", { type: 'integer', minimum: 0 }),
    ],
    get: {
      operationId: 'streamOutput',
      tags,
      summary: 'Streams the output of a process.',
      responses: { '200': events, default: error },
    },
  },
  '/v1/sandboxes/{sandbox}/ports/{port}': {
    parameters: [
      sandbox,
      {
        name: 'port',
        in: 'path',
        required: true,
        description: 'TCP port in the sandbox.',
        schema: { type: 'integer', minimum: 1, maximum: 65535 },
      },
    ],
    get: {
      operationId: 'openPort',
      tags,
      summary: 'With `Upgrade: cove-tcp`: the connection becomes one to the port.',
      responses: { '101': { description: 'The bytes of the port follow.' }, default: error },
    },
  },
  '/healthz': {
    get: {
      operationId: 'healthz',
      tags,
      ...open,
      summary: 'Whether the process answers.',
      responses: { '200': { description: 'It does.', content: text }, default: error },
    },
  },
  '/readyz': {
    get: {
      operationId: 'readyz',
      tags,
      ...open,
      summary: 'Whether it takes work.',
      responses: {
        '200': { description: 'It does.', content: text },
        '503': { description: 'The reason.', content: text },
        default: error,
      },
    },
  },
  '/metrics': {
    get: {
      operationId: 'metrics',
      tags,
      summary: 'Figures in the text format of Prometheus.',
      responses: { '200': { description: 'Figures.', content: text }, default: error },
    },
  },
  '/openapi.json': {
    get: {
      operationId: 'openapi',
      tags,
      ...open,
      summary: 'This document.',
      responses: {
        '200': { description: 'OpenAPI 3.1.', content: { 'application/json': { schema: { type: 'object' } } } },
        default: error,
      },
    },
  },
}

export const HTTP_SCHEMAS = {
  Error: {
    type: 'object',
    description: 'How plain HTTP paths tell of an error.',
    required: ['code', 'message', 'fix', 'requestId'],
    properties: {
      code: { type: 'string', description: "One of Cove's error codes." },
      message: { type: 'string' },
      fix: { type: 'string', description: 'What to do now.' },
      requestId: { type: 'string' },
      context: { type: 'object' },
    },
  },
  ConnectError: {
    type: 'object',
    description: 'How methods tell of an error, in the form of the Connect protocol.',
    required: ['code'],
    properties: {
      code: { type: 'string', description: 'A gRPC status in snake case, such as `not_found`.' },
      message: { type: 'string' },
      details: {
        type: 'array',
        items: {
          type: 'object',
          properties: {
            type: { type: 'string', examples: ['cove.v1.ErrorDetail'] },
            value: { type: 'string', description: 'The detail as protobuf in base64.' },
            debug: { description: 'The detail as JSON.' },
          },
        },
      },
    },
  },
}
