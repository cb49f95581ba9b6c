import { expect, test } from 'vitest'
import { withKeepAlive } from './keep-alive.ts'

test('signs of life fill silence, items come through unchanged, and leaving early ends the source', async () => {
  let ended = false
  async function* source(): AsyncGenerator<number> {
    try {
      yield 1
      yield 2
      await new Promise((resolve) => setTimeout(resolve, 60))
      yield 3
      yield 4
    } finally {
      ended = true
    }
  }
  const seen: (number | 'alive')[] = []
  for await (const item of withKeepAlive<number | 'alive'>(source(), 15, () => 'alive')) {
    seen.push(item)
    if (item === 3) break
  }
  expect(ended).toBe(true)
  expect(seen.filter((item) => item !== 'alive')).toEqual([1, 2, 3])
  expect(seen.slice(0, 2)).toEqual([1, 2])
  expect(seen.slice(2)).toContain('alive')
})

async function* breaking(): AsyncGenerator<number> {
  yield 1
  throw new Error('broken')
}

test('an error of the source is an error of the stream', async () => {
  const stream = withKeepAlive(breaking(), 1_000, () => 0)
  expect((await stream.next()).value).toBe(1)
  await expect(stream.next()).rejects.toThrow('broken')
})
