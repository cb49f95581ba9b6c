import { expect, test } from 'vitest'
import { outputText, utf8, wholeCharacters } from './text.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)

test('whole output is as it was', () => {
  expect(outputText({ bytes: bytes('grüße\n'), omitted: 0 }, 4)).toBe('grüße\n')
})

test('output without its middle says how much is missing, and cuts no character', () => {
  // 5 bytes are kept of each end; both cuts go through an umlaut.
  const kept = Buffer.concat([bytes('abcdü').subarray(0, 5), bytes('üwxyz').subarray(1)])
  expect(outputText({ bytes: kept, omitted: 90 }, 10)).toBe('abcd\n[... 90 bytes left out ...]\nwxyz')
})

test('bytes that are no UTF-8 are told apart from text', () => {
  expect(utf8(bytes('\ufeffgrüße'))).toBe('\ufeffgrüße')
  expect(utf8(Uint8Array.of(0xff, 0xfe))).toBeUndefined()
  expect(utf8(bytes('ü').subarray(0, 1))).toBeUndefined()
})

test.each([1, 2, 3])('a character of which %i bytes have come waits for the rest', (count) => {
  const wave = bytes('\u{1f30a}')
  expect(wholeCharacters(Buffer.concat([bytes('a'), wave.subarray(0, count)]))).toEqual(bytes('a'))
  expect(wholeCharacters(wave)).toEqual(wave)
  expect(wholeCharacters(bytes(''))).toEqual(bytes(''))
})
