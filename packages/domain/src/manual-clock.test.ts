import { describe, expect, it } from 'vitest'
import { ManualClock } from './manual-clock.ts'

describe('ManualClock', () => {
  it('wakes sleepers in the order of their time, also those that sleep again', async () => {
    const clock = new ManualClock()
    const woken: string[] = []
    const loop = async (name: string, ms: number, times: number) => {
      for (let i = 0; i < times; i++) {
        await clock.sleep(ms)
        woken.push(`${name}@${clock.monotonic()}`)
      }
    }
    const loops = Promise.all([loop('slow', 30, 1), loop('fast', 10, 4)])
    await clock.advance(35)
    expect(woken).toEqual(['fast@10', 'fast@20', 'slow@30', 'fast@30'])
    await clock.advance(5)
    await loops
    expect(clock.sleeping).toBe(0)
  })

  it('lets a sleeper go when its signal aborts', async () => {
    const clock = new ManualClock()
    const abort = new AbortController()
    const sleep = clock.sleep(10, abort.signal)
    abort.abort(new Error('enough'))
    await expect(sleep).rejects.toThrow('enough')
    await expect(clock.sleep(10, abort.signal)).rejects.toThrow('enough')
    expect(clock.sleeping).toBe(0)
  })

  it('moves wall clock and monotonic time together, and only the wall clock in a jump', async () => {
    const clock = new ManualClock(1_000)
    await clock.advance(5)
    clock.jump(-100)
    expect([clock.now(), clock.monotonic()]).toEqual([905, 5])
  })
})
