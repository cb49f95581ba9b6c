import { expect, test } from 'vitest'
import { CoveError } from '@cove/domain'
import { errorMessage, readMessage } from './message.ts'
import { headersFor } from './session.ts'

const request = (method: string, params: object, revision?: string) => {
  const meta = revision === undefined ? {} : { _meta: { 'io.modelcontextprotocol/protocolVersion': revision } }
  const message = readMessage(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, ...meta } }))
  if (message === undefined) throw new Error('no message')
  return message
}
const session = { initialize: request('initialize', {}), id: 'abc', revision: '2025-11-25' }

test('a message of an older revision carries its session', () => {
  const headers = { 'mcp-session-id': 'abc', 'mcp-protocol-version': '2025-11-25' }
  expect(headersFor(request('tools/call', { name: 'execute' }), session)).toEqual(headers)
  expect(headersFor(request('initialize', {}), session)).toEqual({})
  expect(headersFor(request('ping', {}), undefined)).toEqual({})
})

test.each([
  ['execute', 'execute'],
  ['grüße', `=?base64?${Buffer.from('grüße').toString('base64')}?=`],
  [' space', `=?base64?${Buffer.from(' space').toString('base64')}?=`],
  ['a\nx-evil: 1', `=?base64?${Buffer.from('a\nx-evil: 1').toString('base64')}?=`],
  ['=?base64?eA==?=', `=?base64?${Buffer.from('=?base64?eA==?=').toString('base64')}?=`],
])('a newer one repeats revision, method and subject %j in headers', (name, encoded) => {
  expect(headersFor(request('tools/call', { name }, '2026-07-28'), session)).toEqual({
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': encoded,
  })
})

test('what is no message is told apart, and a cancellation names its request', () => {
  expect(readMessage('{')).toBeUndefined()
  expect(readMessage('[1]')).toEqual({ text: '[1]' })
  expect(readMessage('{"method":"constructor"}')).toEqual({ text: '{"method":"constructor"}', method: 'constructor' })
  const odd = '{"method":"ping","id":null}'
  expect(readMessage(odd)).toEqual({ text: odd })
  expect(request('notifications/cancelled', { requestId: 'x' }).cancels).toBe('x')
})

test('an error says what happened and what to do', () => {
  const line = errorMessage('id', new CoveError('daemon-not-running', 'Cove is not running'))
  expect(JSON.parse(line)).toMatchObject({
    id: 'id',
    error: { code: -32_000, message: expect.stringMatching(/^Cove is not running\. Start Cove/) },
  })
})
