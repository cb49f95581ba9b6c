import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CoveError } from '@cove/domain'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { RateLimiter, addressKey, rateLimited, retryAfter } from './rate-limiter.ts'

describe('a rate', () => {
  test('lets a burst through, then what the rate allows, and says how long to wait', async () => {
    const clock = new ManualClock()
    const limiter = new RateLimiter({ perSecond: 10, burst: 5 }, clock)
    const waits = Array.from({ length: 7 }, () => limiter.take('a'))
    expect(waits).toEqual([0, 0, 0, 0, 0, 100, 100])
    expect(limiter.take('b')).toBe(0)
    await clock.advance(99)
    expect(limiter.take('a')).toBe(1)
    await clock.advance(1)
    expect([limiter.take('a'), limiter.take('a')]).toEqual([0, 100])
    await clock.advance(3_600_000)
    expect(Array.from({ length: 6 }, () => limiter.take('a'))).toEqual([0, 0, 0, 0, 0, 100])
  })

  test('of 0 lets everything through and remembers nothing', () => {
    const limiter = new RateLimiter({ perSecond: 0, burst: 1 }, new ManualClock())
    for (let n = 0; n < 1_000; n++) expect(limiter.take('a')).toBe(0)
    expect(limiter.size).toBe(0)
  })

  test('never lets more through than burst and rate together, whatever the pauses', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 60 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 50 }),
        async (pauses, burst, perSecond) => {
          const clock = new ManualClock()
          const limiter = new RateLimiter({ perSecond, burst }, clock)
          const began = clock.monotonic()
          let through = 0
          for (const pause of pauses) {
            await clock.advance(pause)
            if (limiter.take('a') === 0) through++
          }
          expect(through).toBeLessThanOrEqual(burst + ((clock.monotonic() - began) * perSecond) / 1000 + 1e-6)
        },
      ),
      { numRuns: 50 },
    )
  })

  test('keeps its table bounded, and forgets those at rest first', async () => {
    const clock = new ManualClock()
    const limiter = new RateLimiter({ perSecond: 1, burst: 1 }, clock, 100)
    for (let n = 0; n < 100; n++) limiter.take(`old-${n}`)
    await clock.advance(2_000)
    limiter.take('busy')
    for (let n = 0; n < 99; n++) limiter.take(`new-${n}`)
    expect(limiter.size).toBeLessThanOrEqual(100)
    expect(limiter.take('busy')).toBeGreaterThan(0)
    for (let n = 0; n < 1_000; n++) limiter.take(`flood-${n}`)
    expect(limiter.size).toBeLessThanOrEqual(100)
  })
})

test('the wait is told in whole seconds, at least one', () => {
  expect(retryAfter(rateLimited(1))).toBe(1)
  expect(retryAfter(rateLimited(2_001))).toBe(3)
  expect(retryAfter(new CoveError('rate-limited', 'no'))).toBe(1)
  expect(retryAfter(new CoveError('busy', 'no'))).toBeUndefined()
})

test.each([
  ['127.0.0.1', '127.0.0.1'],
  ['::ffff:10.1.2.3', '10.1.2.3'],
  ['::1', '0:0:0:0'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:0DB8:1:2::9', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
  ['', ''],
])('the address %s counts as %s', (address, key) => {
  expect(addressKey(address)).toBe(key)
})
