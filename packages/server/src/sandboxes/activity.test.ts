import { expect, test } from 'vitest'
import { newSandboxId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { Activity } from './activity.ts'

const id = newSandboxId(systemRandom)

test('a sandbox is in use until the last hold on it is let go', async () => {
  const clock = new ManualClock()
  const activity = new Activity(clock)
  const [first, second] = [activity.hold(id), activity.hold(id)]
  await clock.advance(100)
  first()
  first()
  expect(activity.idleFor(id)).toBe(0)
  await clock.advance(100)
  second()
  await clock.advance(30)
  expect(activity.idleFor(id)).toBe(30)
})

test('one that has ended is forgotten for good, also when it is let go of later', async () => {
  const clock = new ManualClock()
  const activity = new Activity(clock)
  await clock.advance(1_000)
  const release = activity.hold(id)
  activity.forget(id)
  release()
  expect(activity.idleFor(id)).toBe(1_000)
})
