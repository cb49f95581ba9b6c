import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseDeb822, parseOneLine, sourceLines } from './apt-sources.ts'

describe("the host's sources of packages", () => {
  it('are read in the format of one line each', () => {
    const text = [
      '# deb http://no/debian x main',
      'deb http://mirror/debian bookworm main contrib # why',
      'deb [arch=amd64 signed-by=/k.gpg] http://mirror/debian-security bookworm-security main',
      'deb-src http://mirror/debian bookworm main',
      '',
    ].join('\n')
    expect(parseOneLine(text)).toEqual([
      { uri: 'http://mirror/debian', suite: 'bookworm', components: ['main', 'contrib'] },
      {
        uri: 'http://mirror/debian-security',
        suite: 'bookworm-security',
        components: ['main'],
        signedBy: '/k.gpg',
      },
    ])
  })

  it('are read in the format of stanzas', () => {
    const text = [
      'Types: deb deb-src',
      '# a note',
      'URIs: http://a/debian',
      ' http://b/debian',
      'Suites: bookworm bookworm-updates',
      'Components: main',
      '',
      'Types: deb',
      'Enabled: no',
      'URIs: http://c/debian',
      'Suites: sid',
    ].join('\n')
    expect(parseDeb822(text).map(({ uri, suite }) => `${uri} ${suite}`)).toEqual([
      'http://a/debian bookworm',
      'http://a/debian bookworm-updates',
      'http://b/debian bookworm',
      'http://b/debian bookworm-updates',
    ])
  })

  it('give the mirrors for any suite, and no others than those of Debian', () => {
    const host = parseOneLine(
      'deb http://other/repo x main\ndeb http://m/debian bookworm main\ndeb http://s/debian-security x main',
    )
    expect(sourceLines('trixie', host)).toEqual([
      'deb http://m/debian trixie main',
      'deb http://m/debian trixie-updates main',
      'deb http://s/debian-security trixie-security main',
    ])
    expect(sourceLines('sid', host)).toEqual(['deb http://m/debian sid main'])
    expect(sourceLines('sid', [])).toEqual(['deb http://deb.debian.org/debian sid main'])
  })

  it('may be anything', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        expect([parseOneLine(text), parseDeb822(text)]).toHaveLength(2)
      }),
    )
  })
})
