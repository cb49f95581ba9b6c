import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { compareKeys, lowerBound } from './key-order.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 4 })

it('orders any two keys as their bytes are ordered', () => {
  fc.assert(
    fc.property(text, text, (a, b) => {
      expect(Math.sign(compareKeys(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
    }),
  )
  expect(compareKeys('\uffff', '\u{10000}')).toBeLessThan(0)
  expect(compareKeys('a', 'a\0')).toBeLessThan(0)
})

it('finds the place of a key in a sorted list', () => {
  const sorted = ['a', 'b', 'c']
  expect(['', 'a', 'aa', 'c', 'd'].map((key) => lowerBound(sorted, key))).toEqual([0, 0, 1, 2, 3])
})
