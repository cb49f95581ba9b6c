import { describe, expect, it } from 'vitest'
import { BoundedQueue } from './bounded-queue.ts'

describe('a bounded queue', () => {
  it('holds its writer back until the reader has made room', async () => {
    const queue = new BoundedQueue<string>(3).claim()
    expect(queue.push('ab', 2)).toBeUndefined()
    let room = false
    const pushed = queue.push('cd', 2)?.then(() => (room = true))
    await Promise.resolve()
    expect(room).toBe(false)
    const reader = queue[Symbol.asyncIterator]()
    expect(await reader.next()).toEqual({ value: 'ab', done: false })
    await pushed
    expect(room).toBe(true)
  })

  it('lets the oldest go while nobody has come to read', async () => {
    const queue = new BoundedQueue<number>(2)
    for (const item of [1, 2, 3, 4]) expect(queue.push(item, 1)).toBeUndefined()
    queue.close()
    expect(await Array.fromAsync(queue)).toEqual([3, 4])
  })

  it('gives what is there before it ends with the error', async () => {
    const queue = new BoundedQueue<number>(9)
    void queue.push(1, 1)
    queue.close(new Error('over'))
    const reader = queue[Symbol.asyncIterator]()
    expect(await reader.next()).toEqual({ value: 1, done: false })
    await expect(reader.next()).rejects.toThrow('over')
  })

  it('frees its writer when the reader leaves', async () => {
    const queue = new BoundedQueue<number>(1).claim()
    void queue.push(1, 1)
    const held = queue.push(2, 1)
    for await (const _ of queue) break
    await held
    expect(queue.push(3, 5)).toBeUndefined()
  })
})
