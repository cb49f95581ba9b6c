import { expect, test } from 'vitest'
import { Room } from './room.ts'

test('all together hold no more than there is room for', () => {
  const room = new Room(10)
  room.take(6)
  room.take(4)
  expect(() => room.take(1)).toThrow(expect.objectContaining({ code: 'busy', transient: true }))
  room.give(4)
  room.take(3)
  expect(() => room.take(2)).toThrow('too many large requests')
})
