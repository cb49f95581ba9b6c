import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { TOOLS } from './tools.ts'

const page = readFileSync(join(import.meta.dirname, '../../../../../../docs/mcp.md'), 'utf8').split('\n')

test.each(TOOLS.map((tool) => [tool.name, tool] as const))(
  'the page about MCP tells of %s and its arguments',
  (name, tool) => {
    const row = page.find((line) => line.startsWith(`| \`${name}\` |`))
    const [, , cell = ''] = row?.split('|') ?? []
    const told = [...cell.replaceAll(/\([^)]*\)/g, '').matchAll(/`([a-z_]+)`(\??)/g)].map(([, argument, mark]) => [
      argument,
      mark === '?',
    ])
    const { properties = {}, required = [] } = tool.inputSchema as {
      properties?: Record<string, { description?: string }>
      required?: string[]
    }
    expect(told).toEqual(Object.keys(properties).map((argument) => [argument, !required.includes(argument)]))
  },
)

test.each(TOOLS.map((tool) => [tool.name, tool] as const))(
  '%s says what it is and what its arguments mean',
  (_name, tool) => {
    expect(tool.title).not.toBe('')
    expect(tool.description).toMatch(/\.$/)
    const { properties = {} } = tool.inputSchema as { properties?: Record<string, { description?: string }> }
    for (const [argument, { description = '' }] of Object.entries(properties))
      expect(description, argument).toMatch(/\.$/)
    const { readOnlyHint, openWorldHint, destructiveHint } = tool.annotations
    const hints = [readOnlyHint, openWorldHint, readOnlyHint === true ? false : destructiveHint]
    expect(hints.map((hint) => typeof hint)).toEqual(['boolean', 'boolean', 'boolean'])
  },
)
