import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { McpServer, StandardSchemaWithJSON } from '@modelcontextprotocol/server'
import { PNG, WAV, text } from './samples.ts'

/** Tools that answer with one kind of content each. */
export function addContentTools(server: McpServer): void {
  server.registerTool('test_simple_text', { description: 'Answers with text.' }, () => ({
    content: [text('This is a simple text response for testing.')],
  }))
  server.registerTool('test_image_content', { description: 'Answers with an image.' }, () => ({
    content: [{ type: 'image', data: PNG, mimeType: 'image/png' }],
  }))
  server.registerTool('test_audio_content', { description: 'Answers with sound.' }, () => ({
    content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }],
  }))
  server.registerTool('test_embedded_resource', { description: 'Answers with a resource.' }, () => ({
    content: [
      {
        type: 'resource',
        resource: {
          uri: 'test://embedded-resource',
          mimeType: 'text/plain',
          text: 'This is an embedded resource content.',
        },
      },
    ],
  }))
  server.registerTool('test_multiple_content_types', { description: 'Answers with several kinds.' }, () => ({
    content: [
      text('Multiple content types test:'),
      { type: 'image', data: PNG, mimeType: 'image/png' },
      {
        type: 'resource',
        resource: {
          uri: 'test://mixed-content-resource',
          mimeType: 'application/json',
          text: JSON.stringify({ test: 'data', value: 123 }),
        },
      },
    ],
  }))
  server.registerTool('test_error_handling', { description: 'Fails.' }, () => {
    throw new Error('This tool intentionally returns an error for testing')
  })
  const region = { type: 'string', description: 'Repeated in a header.', 'x-mcp-header': 'Region' }
  server.registerTool(
    'test_custom_headers',
    { description: 'Has an argument in a header.', inputSchema: told({ type: 'object', properties: { region } }) },
    () => ({ content: [text('done')] }),
  )
  server.registerTool(
    'json_schema_2020_12_tool',
    { description: 'Has keywords of JSON Schema 2020-12.', inputSchema: told(SCHEMA_2020_12) },
    () => ({ content: [text('done')] }),
  )
}

// In a file of its own: an object with the keyword "then" would be taken for a promise.
const SCHEMA_2020_12 = JSON.parse(readFileSync(join(import.meta.dirname, 'schema-2020-12.json'), 'utf8')) as Record<
  string,
  unknown
>

function told(schema: Record<string, unknown>): StandardSchemaWithJSON {
  const jsonSchema = { input: () => schema, output: () => schema }
  return { '~standard': { version: 1, vendor: 'cove', validate: (value) => ({ value }), jsonSchema } }
}
