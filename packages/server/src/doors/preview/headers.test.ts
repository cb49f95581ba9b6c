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

test('a length that is named as of the connection alone is still the length', () => {
  expect(answerHeaders(['connection', 'content-length', 'content-length', '5'])).toEqual(['content-length', '5'])
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
  expect(previewCookies('cove-preview=old; a=1; cove-preview=new')).toEqual(['old', 'new'])
  expect(previewCookies('a=1')).toEqual([])
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
      const kept = keep(sent.flat(), connection)
      for (let at = 0; at < kept.length; at += 2) expect(kept[at]).toBe('x-a')
    }),
  )
})
