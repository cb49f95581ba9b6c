import { array, assert, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseIgnore } from './ignore.ts'

describe('what is left out', () => {
  it.each([
    ['*.pyc', 'a.pyc', true],
    ['*.pyc', 'deep/down/a.pyc', true],
    ['*.pyc', 'a.pyc.txt', false],
    ['/build', 'build', true],
    ['/build', 'build/out.o', true],
    ['/build', 'src/build', false],
    ['node_modules', 'web/node_modules/x/y.js', true],
    ['docs/*.md', 'docs/a.md', true],
    ['docs/*.md', 'docs/deep/a.md', false],
    ['docs/**/*.md', 'docs/deep/er/a.md', true],
    ['docs/**/*.md', 'docs/a.md', true],
    ['**/secret', 'a/b/secret', true],
    ['a?c', 'abc', true],
    ['a?c', 'a/c', false],
    ['[abc].txt', 'b.txt', true],
    ['[!abc].txt', 'b.txt', false],
    ['# comment', '# comment', false],
    ['', 'anything', false],
    ['a.b', 'aXb', false],
    ['(x)|y', 'y', false],
    [String.raw`\!important`, '!important', true],
  ])('%j decides about %j: %s', (pattern, path, ignored) => {
    expect(parseIgnore([pattern]).ignores(path, false)).toBe(ignored)
  })

  it('is decided by the last line that fits, and a slash at the end means directories', () => {
    const ignore = parseIgnore(['*.log', '!keep.log', 'tmp/'])
    expect(ignore.ignores('a.log', false)).toBe(true)
    expect(ignore.ignores('sub/keep.log', false)).toBe(false)
    expect(ignore.ignores('tmp', true)).toBe(true)
    expect(ignore.ignores('tmp', false)).toBe(false)
    expect(ignore.ignores('tmp/inside', false)).toBe(true)
    expect(ignore.hasExceptions).toBe(true)
  })

  it('never fails, whatever the patterns say', () => {
    assert(
      property(array(string({ maxLength: 20 })), string({ maxLength: 30 }), (lines, path) => {
        expect([true, false]).toContain(parseIgnore(lines).ignores(path, false))
      }),
    )
  })
})
