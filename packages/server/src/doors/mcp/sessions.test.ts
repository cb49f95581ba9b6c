import { expect, test } from 'vitest'
import { McpServer, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server'
import type { Principal } from '../../auth/principal.ts'
import { Sessions, type Session } from './sessions.ts'
import { MCP_LIMITS } from './settings.ts'

const key = (name: string, ended?: AbortSignal): Principal => ({
  key: name,
  project: 'default',
  role: 'member',
  operator: false,
  ...(ended === undefined ? {} : { ended }),
})

function session(): Session {
  return {
    server: new McpServer({ name: 't', version: '1' }),
    transport: new WebStandardStreamableHTTPServerTransport(),
  }
}

test('one key cannot have more than its share: its oldest that is not in use goes', () => {
  const sessions = new Sessions(() => 0)
  sessions.add('other', key('b'), session())
  for (let i = 0; i < MCP_LIMITS.sessionsPerKey; i++) sessions.add(`s${i}`, key('a'), session())
  using _busy = sessions.use('s0')
  sessions.add('new', key('a'), session())
  expect(sessions.size).toBe(MCP_LIMITS.sessionsPerKey + 1)
  expect(sessions.find('s0', key('a'))).toBeDefined()
  expect(sessions.find('s1', key('a'))).toBeUndefined()
  expect(sessions.find('new', key('a'))).toBeDefined()
  expect(sessions.find('other', key('b'))).toBeDefined()
})

test('all keys together cannot have more than the server holds', () => {
  const sessions = new Sessions(() => 0)
  for (let i = 0; i <= MCP_LIMITS.sessions; i++) sessions.add(`s${i}`, key(`k${i}`), session())
  expect(sessions.size).toBe(MCP_LIMITS.sessions)
  expect(sessions.find('s0', key('k0'))).toBeUndefined()
})

test('a session that nobody uses ends; one that is used does not', () => {
  let now = 0
  const sessions = new Sessions(() => now)
  sessions.add('idle', key('a'), session())
  sessions.add('used', key('a'), session())
  now = MCP_LIMITS.sessionIdleMs - 1
  sessions.use('used')[Symbol.dispose]()
  now += 2
  expect(sessions.find('idle', key('a'))).toBeUndefined()
  expect(sessions.find('used', key('a'))).toBeDefined()
})

test('a session is found by the key that opened it only, and ends with it', () => {
  const revoking = new AbortController()
  const sessions = new Sessions(() => 0)
  sessions.add('one', key('a', revoking.signal), session())
  expect(sessions.find('one', key('b'))).toBeUndefined()
  expect(sessions.find('one', { ...key('a'), project: 'other' })).toBeUndefined()
  expect(sessions.find('one', key('a'))).toBeDefined()
  revoking.abort()
  expect(sessions.find('one', key('a'))).toBeUndefined()
})
