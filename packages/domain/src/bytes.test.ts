import { describe, expect, it } from 'vitest'
import { formatBytes, parseBytes } from './bytes.ts'

describe('sizes', () => {
  it.each([
    ['4096', 4096],
    ['512MiB', 512 * 1024 ** 2],
    ['512m', 512 * 1024 ** 2],
    ['1.5g', 1.5 * 1024 ** 3],
    ['2 GB', 2e9],
  ])('reads %s', (text, bytes) => expect(parseBytes(text)).toBe(bytes))

  it.each(['', '-1', 'ten', '1x', '99999999999999999999', '1..5m'])('refuses %j', (text) => {
    expect(() => parseBytes(text)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  })

  it('writes what people read', () => {
    expect([0, 1023, 1024, 1536 * 1024].map(formatBytes)).toEqual(['0 B', '1023 B', '1 KiB', '1.5 MiB'])
  })
})
