import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { answerHeaders, boundCookie, previewCookies, requestHeaders } from './headers.ts'
import { isSecret, keyOf } from './key-of.ts'

const keep = (headers: readonly string[], connection?: string) => requestHeaders(headers, connection, isSecret)

test('what a connection names is about the connection', () => {
  const raw = ['Connection', 'X-Mine, close', 'X-Mine', '1', 'Keep-Alive', 'timeout=5', 'X-Kept', '2', 'TE', 'trailers']
  expect(keep(raw, 'X-Mine, close')).toEqual(['X-Kept', '2'])
  expect(answerHeaders(['connection', 'x-a', 'Connection', 'x-b', 'X-A', '1', 'x-b', '2', 'x-c', '3'])).toEqual([
    'x-c',
    '3',
  ])
})

test.each([
  ['authorization', 'Bearer cove_abc', true],
  ['authorization', 'bearer   cove_abc ', true],
  ['authorization', 'Bearer of-the-program', false],
  ['authorization', 'Basic Y292ZV9hYmM=', false],
  ['x-api-key', 'cove_abc', true],
  ['x-api-key', 'sk-other', false],
  ['x-other', 'cove_abc', false],
])('%s: %s is ours: %j', (name, value, secret) => {
  expect(keep([name, value])).toEqual(secret ? [] : [name, value])
})

test('a key is found wherever it may stand, and nothing else is taken for one', () => {
  expect(keyOf({ 'cove-key': 'cove_a', authorization: 'Bearer cove_b' })).toBe('cove_a')
  expect(keyOf({ authorization: 'Bearer theirs', 'x-api-key': 'cove_c' })).toBe('cove_c')
  expect(keyOf({ authorization: 'Bearer theirs', 'x-api-key': 'theirs' })).toBeUndefined()
  expect(keyOf({ 'cove-key': `cove_${'x'.repeat(600)}` })).toBeUndefined()
})

test.each([
  ['a=1; Domain=example.com; Path=/', 'a=1; Path=/'],
  ['a=1; DOMAIN = .example.com ;HttpOnly', 'a=1;HttpOnly'],
  ['a=1;domain', 'a=1'],
  ['domain=mine; Path=/', 'domain=mine; Path=/'],
  ['a=domain; Path=/', 'a=domain; Path=/'],
  ['cove-preview=x', undefined],
  [' cove-preview =x; Path=/', undefined],
  ['__Host-cove-preview=x', undefined],
])('the cookie %j goes out as %j', (cookie, out) => {
  expect(boundCookie(cookie)).toBe(out)
})

test("our cookie stays outside, the program's go in", () => {
  expect(keep(['Cookie', 'a=1; cove-preview=x; b=2', 'cookie', '__Host-cove-preview=y'])).toEqual([
    'cookie',
    'a=1; b=2',
  ])
  expect(keep(['cookie', 'cove-preview=x'])).toEqual([])
  expect(keep(['cookie', 'not-cove-preview=x'])).toEqual(['cookie', 'not-cove-preview=x'])
})

test('of cookies that others set the right one is found, and over TLS theirs do not count', () => {
  expect(previewCookies('cove-preview=old; a=1; cove-preview=new', false)).toEqual(['old', 'new'])
  expect(previewCookies('a=1; cove-preview', false)).toEqual([])
  const tossed = Array.from({ length: 150 }, (_, at) => `cove-preview=${at}`).join('; ')
  expect(previewCookies(`${tossed}; cove-preview=right`, false).at(-1)).toBe('right')
  expect(previewCookies(`${tossed}; __Host-cove-preview=right`, true)).toEqual(['right'])
  expect(previewCookies('__Host-cove-preview=no', false)).toEqual([])
})

test('a key of ours goes in by no spelling, nor does what we say ourselves', () => {
  const kept = requestHeaders(
    [
      ['Authorization', 'Bearer cove_key extra', 'authorization', 'Token cove_key', 'X-API-Key', 'a, cove_key'],
      ['X_Api_Key', 'cove_key', 'Cove-Anything', 'x', 'cove_key', 'x', 'X_Forwarded_For', '6.6.6.6'],
      ['Content_Length', '5', 'Transfer_Encoding', 'chunked', 'x_own', '1', 'Authorization', 'Bearer its_cove_own'],
    ].flat(),
    undefined,
    isSecret,
  )
  expect(kept).toEqual(['x_own', '1', 'Authorization', 'Bearer its_cove_own'])
  expect(() => requestHeaders(['Host', 'a', 'host', 'b'], undefined, isSecret)).toThrow('two hosts')
})

const NAMES = [
  'Connection',
  'Upgrade',
  'transfer-encoding',
  'Content-Length',
  'Host',
  'cove-key',
  'X-Forwarded-For',
  'x-a',
]
const pairs = fc.array(fc.tuple(fc.constantFrom(...NAMES), fc.string({ maxLength: 20 })), { maxLength: 30 })

test('whatever is sent, nothing goes in that tells where a request ends or who has sent it', () => {
  fc.assert(
    fc.property(pairs, fc.option(fc.string(), { nil: undefined }), (sent, connection) => {
      fc.pre(sent.filter(([name]) => name === 'Host').length < 2)
      const kept = keep(sent.flat(), connection)
      for (let at = 0; at < kept.length; at += 2) expect(kept[at]).toBe('x-a')
    }),
  )
})
