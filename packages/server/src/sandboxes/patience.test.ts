import { expect, test } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { Patience } from './patience.ts'

test('ends when nothing was heard for so long', async () => {
  const clock = new ManualClock()
  using patience = new Patience(clock, 1_000)
  await clock.advance(999)
  expect(patience.signal.aborted).toBe(false)
  await clock.advance(1)
  expect(patience.signal.reason).toMatchObject({ code: 'deadline-exceeded' })
})

test('goes on as long as there is progress, but not for ever', async () => {
  const clock = new ManualClock()
  using patience = new Patience(clock, 1_000)
  for (let second = 0; second < 11; second++) {
    await clock.advance(900)
    patience.heard()
  }
  expect(patience.signal.aborted).toBe(false)
  for (let second = 0; second < 3; second++) {
    await clock.advance(900)
    patience.heard()
  }
  expect(patience.signal.reason).toMatchObject({ message: expect.stringContaining('12000 ms in all') })
})

test('ends no more when it is not needed any more', async () => {
  const clock = new ManualClock()
  const patience = new Patience(clock, 1_000)
  patience[Symbol.dispose]()
  await clock.advance(20_000)
  expect(patience.signal.aborted).toBe(false)
})
