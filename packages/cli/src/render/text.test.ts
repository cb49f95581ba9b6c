import { expect, it } from 'vitest'
import { ageText, commandText, oneLine, printable } from './text.ts'

it('lets no text of others reach the terminal as anything but text', () => {
  expect(printable('a\u001B[31mred\u0007\u009B1m\tb\nc')).toBe('a\\x1b[31mred\\x07\\x9b1m\\x09b\nc')
  expect(oneLine('a\nb\r')).toBe('a b\\x0d')
  expect(printable('naïve 😀')).toBe('naïve 😀')
})

it('writes commands as they could be typed', () => {
  expect(commandText(['echo', "it's", 'a b', '', '--x=1', '$HOME'])).toBe("echo 'it'\\''s' 'a b' '' --x=1 '$HOME'")
})

it.each([
  [0, '0s'],
  [59_999, '59s'],
  [60_000, '1m'],
  [3_599_999, '59m'],
  [3_600_000, '1h'],
  [86_400_000 * 3, '3d'],
  [-5000, '0s'],
])('tells an age of %d ms as %s', (ms, text) => {
  expect(ageText(new Date(1_000_000_000_000), 1_000_000_000_000 + ms)).toBe(text)
})
