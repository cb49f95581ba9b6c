import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { OutputKeeper } from './output-keeper.ts'

test('head and tail are kept exactly, however the output is cut', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 30 }),
      (max, chunks) => {
        const keeper = new OutputKeeper(max)
        for (const chunk of chunks) keeper.push(chunk)
        const all = Buffer.concat(chunks)
        const head = Math.ceil(max / 2)
        const expected =
          all.length <= max ? all : Buffer.concat([all.subarray(0, head), all.subarray(all.length - (max - head))])
        expect(Buffer.from(keeper.bytes()).equals(expected)).toBe(true)
        expect(keeper.omitted).toBe(Math.max(0, all.length - max))
      },
    ),
  )
})

test('output in tiny pieces takes no more memory than its bytes', () => {
  const keeper = new OutputKeeper(1024 * 1024)
  const before = process.memoryUsage()
  for (let n = 0; n < 300_000; n++) keeper.push(Uint8Array.of(n))
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  // Every piece that is held on to costs some hundred bytes.
  const more = heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers
  expect(keeper.bytes()).toHaveLength(300_000)
  expect(more / 1024 / 1024).toBeLessThan(32)
})

test('endless output in tiny pieces stays within its bounds', () => {
  const keeper = new OutputKeeper(1_000)
  const piece = new Uint8Array(3).fill(7)
  for (let n = 0; n < 100_000; n++) keeper.push(piece)
  expect(keeper.bytes()).toHaveLength(1_000)
  expect(keeper.omitted).toBe(299_000)
})
