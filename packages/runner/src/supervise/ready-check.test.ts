import { expect, it } from 'vitest'
import { describeReadyCheck, parseReadyCheck } from './ready-check.ts'

it.each([
  ['8080', { kind: 'port', port: 8080 }, 'port 8080 to answer'],
  ['port:1', { kind: 'port', port: 1 }, 'port 1 to answer'],
  ['http://localhost:3000/up', { kind: 'url', url: 'http://localhost:3000/up' }, 'http://localhost:3000/up to answer'],
  ['log:listening on (\\d+)', { kind: 'log', pattern: 'listening on (\\d+)' }, 'a line with /listening on (\\d+)/'],
  ['command:test -e up', { kind: 'command', command: 'test -e up' }, '`test -e up` to succeed'],
])('%s is a check', (text, check, words) => {
  expect(parseReadyCheck(text)).toEqual(check)
  expect(describeReadyCheck(parseReadyCheck(text))).toBe(words)
})

it.each(['', '0', '65536', 'port:x', 'http://', 'ftp://a', 'log:', 'log:(', 'command:', 'command: ', 'listening'])(
  '%j is none',
  (text) => {
    expect(() => parseReadyCheck(text)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  },
)
