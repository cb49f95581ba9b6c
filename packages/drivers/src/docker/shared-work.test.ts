import { expect, it } from 'vitest'
import { SharedWork } from './shared-work.ts'

const waiter = (signal = new AbortController().signal) => {
  const steps: string[] = []
  return { signal, steps, progress: (step: string) => steps.push(step) }
}

it('is done once for all who wait, and everybody hears of its steps', async () => {
  const shared = new SharedWork<string, number, string>()
  const go = Promise.withResolvers<undefined>()
  let runs = 0
  const work = async (_signal: AbortSignal, progress: (step: string) => void) => {
    runs += 1
    await go.promise
    progress('half')
    return runs
  }
  const [a, b] = [waiter(), waiter()]
  const both = [shared.run('key', a, work), shared.run('key', b, work)]
  go.resolve(undefined)
  expect(await Promise.all(both)).toEqual([1, 1])
  expect([a.steps, b.steps]).toEqual([['half'], ['half']])
  expect(await shared.run('key', waiter(), work)).toBe(2)
})

it('goes on while anybody waits, and is given up when nobody does', async () => {
  const shared = new SharedWork<string, string, string>()
  const signals: AbortSignal[] = []
  const work = (signal: AbortSignal) => {
    signals.push(signal)
    return new Promise<string>((_, reject) => signal.addEventListener('abort', () => reject(new Error('given up'))))
  }
  const [first, second] = [new AbortController(), new AbortController()]
  const one = shared.run('key', waiter(first.signal), work)
  const two = shared.run('key', waiter(second.signal), work)
  first.abort()
  await expect(one).rejects.toMatchObject({ code: 'cancelled' })
  expect(signals[0]?.aborted).toBe(false)
  second.abort()
  await expect(two).rejects.toMatchObject({ code: 'cancelled' })
  expect(signals[0]?.aborted).toBe(true)
  await expect(shared.run('key', waiter(), () => Promise.resolve('anew'))).resolves.toBe('anew')
})

it('fails for all, and may be tried again', async () => {
  const shared = new SharedWork<string, string, string>()
  const failing = [1, 2].map(() => shared.run('key', waiter(), () => Promise.reject(new Error('broken'))))
  for (const each of failing) await expect(each).rejects.toThrow('broken')
  await expect(shared.run('key', waiter(), () => Promise.resolve('good'))).resolves.toBe('good')
})
