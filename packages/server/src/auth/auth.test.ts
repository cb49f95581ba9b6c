import { expect, test } from 'vitest'
import { tokenOf } from './credentials.ts'
import { hashKey, keyRing } from './key-ring.ts'
import { OriginCheck } from './origin-check.ts'

test('a key is known by its hash only, and no other is', async () => {
  const [one, two] = ['cove_first', 'cove_second']
  const ring = keyRing([
    { key: 'one', project: 'a', role: 'admin', operator: true, hash: hashKey(one) },
    { key: 'two', project: 'b', role: 'viewer', operator: false, hash: hashKey(two) },
  ])
  expect(await ring.verify(one)).toEqual({ key: 'one', project: 'a', role: 'admin', operator: true })
  expect(await ring.verify(two)).toEqual({ key: 'two', project: 'b', role: 'viewer', operator: false })
  for (const wrong of ['', one.slice(0, -1), `${one}x`, hashKey(one), 'cove_third']) {
    expect(await ring.verify(wrong)).toBeUndefined()
  }
})

test.each([
  [{ authorization: 'Bearer abc' }, 'abc'],
  [{ authorization: 'bearer  abc ' }, 'abc'],
  [{ authorization: 'Basic abc' }, undefined],
  [{ authorization: 'Bearer ' }, undefined],
  [{ authorization: `Bearer ${'x'.repeat(600)}` }, undefined],
  [{ 'x-api-key': 'abc' }, 'abc'],
  [{ 'x-api-key': '' }, undefined],
  [{ 'x-api-key': ['a', 'b'] }, undefined],
  [{ authorization: 'Bearer abc', 'x-api-key': 'def' }, 'abc'],
  [{}, undefined],
])('the token of headers %# is %j', (headers, token) => {
  expect(tokenOf(headers)).toBe(token)
})

test.each([
  [undefined, undefined, 421],
  ['', undefined, 421],
  ['evil.example', undefined, 421],
  ['a b', undefined, 421],
  ['localhost@evil.example', undefined, 421],
  ['LOCALHOST:1', undefined, undefined],
  ['localhost.:1', undefined, undefined],
  ['10.1.2.3', undefined, undefined],
  ['[fe80::1]:80', undefined, undefined],
  ['Cove.Example:80', undefined, undefined],
  ['localhost:1', 'http://localhost:2', 403],
  ['localhost:1', 'http://localhost:1', undefined],
  ['localhost:1', 'http://8080-abc.localhost:1', 403],
  ['localhost:1', 'garbage', 403],
  ['localhost:1', 'file://', 403],
  ['localhost:1', 'http://cove.example:9', undefined],
])('host %j with origin %j is answered with %j', (host, origin, status) => {
  expect(new OriginCheck(['cove.EXAMPLE']).check(host, origin)?.status).toBe(status)
})
