import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodePreamble, findMark, PreambleScanner } from './preamble.ts'

const NONCE = Buffer.from('0123456789abcdef')

describe('PreambleScanner', () => {
  it('finds a preamble behind any noise, however the stream is cut', () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.integer({ min: 0, max: 60 }).map((count) => Buffer.alloc(count, 0xff)),
      fc.integer({ min: 0, max: 39 }).map((count) => encodePreamble(NONCE).subarray(0, count)),
    )
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 4 }), fc.integer({ min: 1, max: 100 }), (before, size) => {
        const bytes = Buffer.concat([...before, encodePreamble(NONCE), Buffer.from('rest')])
        const scanner = new PreambleScanner()
        let last: { nonce: Buffer; end: number } | undefined
        for (let at = 0; at < bytes.length; at += size) {
          const chunk = bytes.subarray(at, at + size)
          let from = 0
          for (;;) {
            const found = scanner.push(chunk, from)
            if (found === undefined) break
            last = { nonce: found.nonce, end: at + found.end }
            from = found.end
          }
        }
        expect(last).toEqual({ nonce: NONCE, end: bytes.length - 4 })
      }),
    )
  })
})

describe('findMark', () => {
  it('cuts content so that no piece begins a preamble', () => {
    const content = Buffer.concat([Buffer.from('x'), encodePreamble(NONCE), Buffer.from('y')])
    const at = findMark(content)
    expect(at).toBe(17)
    expect(findMark(content.subarray(0, at))).toBe(-1)
    expect(findMark(content.subarray(at))).toBe(-1)
  })

  it('leaves other content alone', () => {
    expect(findMark(Buffer.from('COVESYNC'))).toBe(-1)
    expect(findMark(Buffer.alloc(100, 0xff))).toBe(-1)
  })
})
