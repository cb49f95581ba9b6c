import { expect, it } from 'vitest'
import { ManualClock } from '@cove/domain/manual-clock'
import { LeaseTimers } from './lease-timers.ts'

function timers() {
  const clock = new ManualClock()
  const ended: string[] = []
  const leases = new LeaseTimers(clock, (lease) => ended.push(`${lease}@${clock.monotonic()}`))
  return { clock, ended, leases }
}

it('ends each lease at its own time, also one that was added later and ends earlier', async () => {
  const { clock, ended, leases } = timers()
  leases.add('long', 1000)
  leases.add('short', 10)
  await clock.advance(5)
  leases.add('shorter', 1)
  await clock.advance(2000)
  expect(ended).toEqual(['shorter@6', 'short@10', 'long@1000'])
  expect([leases.count, clock.sleeping]).toEqual([0, 0])
})

it('waits with one sleep for all leases, and with none when there are none', async () => {
  const { clock, leases } = timers()
  for (let i = 0; i < 100; i++) leases.add(`${i}`, 1000 - i)
  await clock.advance(1)
  expect(clock.sleeping).toBe(1)
  leases.stop()
  await clock.advance(1)
  expect(clock.sleeping).toBe(0)
})

it('does not bring back a lease whose time is over while its timer is late', async () => {
  const { clock, ended, leases } = timers()
  leases.add('a', 60)
  const late = new LeaseTimers(
    { now: () => 0, monotonic: () => clock.monotonic(), sleep: () => new Promise(() => {}) },
    () => {},
  )
  late.add('a', 60)
  await clock.advance(60)
  expect(() => late.keepAlive('a')).toThrow(expect.objectContaining({ code: 'lease-not-found' }))
  expect(ended).toEqual(['a@60'])
})

it('survives years, for which no timer of the platform is long enough', async () => {
  const { clock, ended, leases } = timers()
  const year = 365 * 24 * 60 * 60 * 1000
  leases.add('year', year)
  await clock.advance(year - 1)
  expect(ended).toEqual([])
  await clock.advance(1)
  expect(ended).toEqual([`year@${year}`])
})
