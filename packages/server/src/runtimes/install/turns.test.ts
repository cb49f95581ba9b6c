import { expect, it } from 'vitest'
import { Turns } from './turns.ts'

const never = new AbortController().signal

it('lets one work at a time for each key, in the order of asking', async () => {
  const turns = new Turns()
  const log: string[] = []
  const gate = Promise.withResolvers<void>()
  const first = turns.take('a', never, async () => {
    log.push('first begins')
    await gate.promise
    log.push('first ends')
    throw new Error('no matter')
  })
  const second = turns.take('a', never, async () => log.push('second'))
  const third = turns.take('a', never, async () => log.push('third'))
  await turns.take('b', never, async () => log.push('other'))
  gate.resolve()
  await expect(first).rejects.toThrow('no matter')
  await Promise.all([second, third])
  expect(log).toEqual(['first begins', 'other', 'first ends', 'second', 'third'])
})

it('who gives up does not work, and lets nobody pass', async () => {
  const turns = new Turns()
  const log: string[] = []
  const gate = Promise.withResolvers<void>()
  const first = turns.take('a', never, () => gate.promise)
  const leaving = new AbortController()
  const second = turns.take('a', leaving.signal, async () => log.push('second'))
  const third = turns.take('a', never, async () => log.push('third'))
  leaving.abort(new Error('enough'))
  await expect(second).rejects.toThrow('enough')
  await expect(turns.take('a', leaving.signal, async () => log.push('late'))).rejects.toThrow('enough')
  expect(log).toEqual([])
  gate.resolve()
  await Promise.all([first, third])
  expect(log).toEqual(['third'])
})
