import { expect, it } from 'vitest'
import { IdRanges, RANGE_SIZE } from './id-ranges.ts'

const FIRST = 0x1000_0000

it('gives every machine a range of its own, the lowest free one first', () => {
  const ranges = new IdRanges(FIRST)
  expect([ranges.take(), ranges.take(), ranges.take()]).toEqual([0, 1, 2])
  ranges.release(1)
  expect(ranges.take()).toBe(1)
  expect(ranges.take()).toBe(3)
  expect(ranges.baseOf(2)).toBe(FIRST + 2 * RANGE_SIZE)
})

it('leaves out what an earlier daemon gave away', () => {
  const ranges = new IdRanges(FIRST)
  ranges.hold(0)
  ranges.hold(2)
  expect([ranges.take(), ranges.take()]).toEqual([1, 3])
})

it('knows a range by the owner of its files', () => {
  const ranges = new IdRanges(FIRST)
  expect(ranges.slotOf(FIRST + 7 * RANGE_SIZE)).toBe(7)
  expect(ranges.slotOf(FIRST + 1)).toBeUndefined()
  expect(ranges.slotOf(0)).toBeUndefined()
})

it('says so when all are in use', () => {
  const ranges = new IdRanges(0xffff_fffe - 2 * RANGE_SIZE)
  expect([ranges.take(), ranges.take()]).toEqual([0, 1])
  expect(() => ranges.take()).toThrow('every range of user ids is in use')
})

it('shares the ids out, so that no two drivers give the same range', () => {
  const first = FIRST
  const [one, two] = [new IdRanges(first, { index: 0, of: 2 }), new IdRanges(first, { index: 1, of: 2 })]
  expect(one.baseOf(one.take())).toBe(first)
  const start = two.baseOf(two.take())
  expect(start).toBeGreaterThan(first)
  expect(one.slotOf(start)).toBeUndefined()
  expect(one.slotOf(start - RANGE_SIZE)).toBeDefined()
  expect(two.slotOf(start - RANGE_SIZE)).toBeUndefined()
})
