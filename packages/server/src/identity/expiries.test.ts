import { expect, test } from 'vitest'
import { ManualClock, settle } from '../../test/support/manual-clock.ts'
import { Expiries } from './expiries.ts'

test('things end at their time, in whatever order they came, unless they were taken back', async () => {
  const clock = new ManualClock()
  const expiries = new Expiries(clock)
  const ending = new AbortController()
  const running = expiries.run(ending.signal)
  const ended: string[] = []
  const start = clock.now()
  const add = (name: string, ms: number) => expiries.add(start + ms, () => void ended.push(name))
  add('late', 300_000)
  add('soon', 1_000)
  const back = add('back', 2_000)
  add('past', -1)
  await settle()
  expect(ended).toEqual(['past'])
  back()
  await clock.advance(999)
  expect(ended).toEqual(['past'])
  await clock.advance(1)
  expect(ended).toEqual(['past', 'soon'])
  await clock.advance(299_000)
  expect(ended).toEqual(['past', 'soon', 'late'])
  expect(expiries.size).toBe(0)
  ending.abort()
  await running
})
