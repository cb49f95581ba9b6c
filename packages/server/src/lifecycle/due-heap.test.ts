import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { DueHeap } from './due-heap.ts'

test('whatever is set, replaced and deleted, what is due comes out in order and once', () => {
  const step = fc.record({
    id: fc.integer({ min: 0, max: 20 }),
    at: fc.integer({ min: 0, max: 1000 }),
    drop: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const heap = new DueHeap<number>()
      const model = new Map<number, number>()
      for (const { id, at, drop } of steps) {
        if (drop) {
          heap.delete(id)
          model.delete(id)
        } else {
          heap.set(id, at)
          model.set(id, at)
        }
        expect(heap.next()).toBe(model.size === 0 ? undefined : Math.min(...model.values()))
      }
      const taken: number[] = []
      for (let id = heap.take(Infinity); id !== undefined; id = heap.take(Infinity)) taken.push(model.get(id) ?? -1)
      expect(taken).toEqual([...model.values()].toSorted((a, b) => a - b))
    }),
  )
})
