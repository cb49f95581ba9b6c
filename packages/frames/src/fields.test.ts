import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Fields } from './fields.ts'
import { FieldsWriter } from './fields-writer.ts'
import { FrameError } from './frame-error.ts'
import { brokenRule } from './testing/broken-rule.ts'

describe('fields', () => {
  it('read back whatever is written', () => {
    fc.assert(
      fc.property(
        fc.record({
          number: fc.maxSafeNat(),
          truth: fc.boolean(),
          texts: fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 5 }),
          bytes: fc.uint8Array({ maxLength: 2000 }),
        }),
        (value) => {
          const nested = new FieldsWriter().number(1, value.number).texts(2, value.texts)
          const fields = new Fields(
            new FieldsWriter()
              .truth(1, value.truth)
              .bytes(2, value.bytes)
              .fields(3, nested)
              .text(4, undefined)
              .finish(),
          )
          expect(fields.truth(1)).toBe(value.truth)
          expect(fields.needBytes(2)).toEqual(Buffer.from(value.bytes))
          expect(fields.fields(3)?.number(1)).toBe(value.number)
          expect(fields.fields(3)?.allTexts(2)).toEqual(value.texts)
          expect(fields.text(4)).toBeUndefined()
        },
      ),
    )
  })

  it('throw nothing but FrameError, whatever the payload', () => {
    const reads = [
      'number',
      'bigint',
      'truth',
      'text',
      'fields',
      'bytes',
      'allTexts',
      'allNumbers',
      'allFields',
    ] as const
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...reads), fc.nat(255), (payload, read, tag) => {
        expect(brokenRule(() => new Fields(Buffer.from(payload))[read](tag))).not.toBe('another error')
      }),
      { numRuns: 2000 },
    )
  })

  it('refuse numbers that JavaScript cannot hold, in both directions', () => {
    for (const number of [-1, 0.5, Number.NaN, Number.MAX_SAFE_INTEGER + 1]) {
      expect(() => new FieldsWriter().number(1, number)).toThrow(FrameError)
    }
    const large = new Fields(new FieldsWriter().bytes(1, Buffer.alloc(8, 0xff)).finish())
    expect(() => large.number(1)).toThrow(FrameError)
    expect(large.bigint(1)).toBe(2n ** 64n - 1n)
  })

  it('name the field that is missing', () => {
    expect(() => new Fields(Buffer.alloc(0)).needText(7)).toThrow('field 7 is missing')
  })
})
