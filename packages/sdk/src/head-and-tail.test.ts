import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { HeadAndTail } from './head-and-tail.ts'

it('keeps head and tail of any stream, and counts what is between them', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 12 }),
      fc.integer({ min: 0, max: 90 }),
      (parts, limit) => {
        const kept = new HeadAndTail(limit)
        for (const part of parts) kept.push(part)
        const all = Buffer.concat(parts)
        const { bytes, omitted } = kept.result()
        const head = all.subarray(0, Math.ceil(limit / 2))
        const rest = all.subarray(head.length)
        const tail = rest.subarray(Math.max(0, rest.length - Math.floor(limit / 2)))
        expect(Buffer.from(bytes)).toEqual(Buffer.concat([head, tail]))
        expect(omitted).toBe(all.length - bytes.length)
      },
    ),
  )
})

it('counts what was lost before it came', () => {
  const kept = new HeadAndTail(10)
  kept.skip(7)
  kept.push(Buffer.from('abc'))
  expect(kept.result()).toEqual({ bytes: new Uint8Array([97, 98, 99]), omitted: 7 })
})
