import { isAbsolute } from 'node:path'
import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { clientConfig } from './client-config.ts'

const read = (dataDir: string) => {
  const text = clientConfig({ env: {}, dataDir, usualDataDir: '/var/lib/cove' })
  expect(text).not.toContain('\n')
  return JSON.parse(text) as { mcpServers: { cove: { command: string; args: string[]; env?: object } } }
}

test('a client is given a program that is there, and no key', () => {
  const { command, args, env } = read('/var/lib/cove').mcpServers.cove
  expect(isAbsolute(command) && existsSync(command)).toBe(true)
  expect({ args, env }).toEqual({ args: ['mcp'], env: undefined })
})

test('a data directory of its own is named', () => {
  expect(read('/elsewhere').mcpServers.cove.env).toEqual({ COVE_DATA_DIR: '/elsewhere' })
})
