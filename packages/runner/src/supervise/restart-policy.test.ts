import { describe, expect, it } from 'vitest'
import { formatRestartPolicy, parseRestartPolicy, Restarts, type RunEnd } from './restart-policy.ts'

const exited = (code: number, upMs = 5): RunEnd => ({ exit: { kind: 'exited', code }, upMs, failed: false })
const backoff = { firstMs: 100, longestMs: 1000, steadyMs: 5000 }

describe('what comes after the end of a process', () => {
  it('is nothing without a policy', () => {
    expect(new Restarts({ kind: 'no' }).next(exited(1))).toEqual({ kind: 'end' })
  })

  it('is a start after a failure only, where that was asked', () => {
    const restarts = new Restarts({ kind: 'on-failure' }, backoff)
    expect(restarts.next(exited(0))).toEqual({ kind: 'end' })
    for (const exit of [
      { kind: 'signaled', signal: 9 },
      { kind: 'lost' },
      { kind: 'out-of-memory' },
      undefined,
    ] as const) {
      expect(restarts.next({ exit, upMs: 0, failed: false })).toMatchObject({ kind: 'restart' })
    }
    expect(restarts.next({ ...exited(0), failed: true })).toMatchObject({ kind: 'restart' })
  })

  it('waits twice as long each time, up to a bound, and begins anew with one that stayed up', () => {
    const restarts = new Restarts({ kind: 'always' }, backoff)
    const waits = Array.from({ length: 6 }, () => restarts.next(exited(0)))
    expect(waits.map((wait) => (wait.kind === 'restart' ? wait.delayMs : wait.kind))).toEqual([
      100, 200, 400, 800, 1000, 1000,
    ])
    expect(restarts.next(exited(1, 5000))).toEqual({ kind: 'restart', delayMs: 100 })
    expect(restarts.next({ ...exited(1, 5000), failed: true })).toEqual({ kind: 'restart', delayMs: 200 })
    for (let row = 0; row < 2000; row += 1) {
      expect(restarts.next(exited(0))).toMatchObject({ kind: 'restart' })
    }
  })

  it('gives up after as many as were allowed in a row', () => {
    const restarts = new Restarts({ kind: 'on-failure', most: 2 }, backoff)
    const kinds = () => restarts.next(exited(1)).kind
    expect([kinds(), kinds(), kinds(), kinds()]).toEqual(['restart', 'restart', 'give-up', 'give-up'])
    restarts.reset()
    expect(kinds()).toBe('restart')
  })
})

describe('a policy in words', () => {
  it.each(['no', 'always', 'on-failure', 'on-failure:1', 'on-failure:1000000'])('%s is read and written', (text) => {
    expect(formatRestartPolicy(parseRestartPolicy(text))).toBe(text)
  })

  it.each(['', 'never', 'on-failure:', 'on-failure:0', 'on-failure:-1', 'on-failure:1000001', 'always:3'])(
    '%j is none',
    (text) => {
      expect(() => parseRestartPolicy(text)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
    },
  )
})
