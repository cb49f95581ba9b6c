import { expect, test } from 'vitest'
import { Query } from './query.ts'
import { parseRange } from './range.ts'

test.each([
  ['bytes=0-9', { offset: 0, length: 10 }],
  ['bytes=5-', { offset: 5 }],
  ['bytes=-3', { last: 3 }],
  ['bytes=9-5', undefined],
  ['bytes=-', undefined],
  ['bytes=0-1,3-4', undefined],
  ['lines=0-9', undefined],
  [undefined, undefined],
])('range %j means %j', (header, part) => {
  expect(parseRange(header)).toEqual(part)
})

test('a query is decoded strictly', () => {
  const query = new Query('path=/a%20b+c&n=12&yes=true&mode=755&empty=')
  expect(query.text('path')).toBe('/a b c')
  expect(query.count('n')).toBe(12)
  expect(query.truth('yes')).toBe(true)
  expect(query.octal('mode')).toBe(0o755)
  expect(query.text('empty')).toBe('')
  expect(query.text('missing')).toBeUndefined()
  for (const [text, read] of [
    ['n=-1', (bad: Query) => bad.count('n')],
    ['n=1.5', (bad: Query) => bad.count('n')],
    ['n=', (bad: Query) => bad.count('n')],
    ['yes=maybe', (bad: Query) => bad.truth('yes')],
    ['mode=9', (bad: Query) => bad.octal('mode')],
  ] as const) {
    expect(() => read(new Query(text))).toThrow(/must be/)
  }
  expect(() => new Query('path=%ff')).toThrow(/UTF-8/)
})
