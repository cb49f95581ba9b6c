import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseChallenges } from './challenge.ts'

describe('a challenge', () => {
  it('of a token server', () => {
    const header =
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'
    expect(parseChallenges(header)).toEqual([
      {
        scheme: 'bearer',
        parameters: {
          realm: 'https://auth.docker.io/token',
          service: 'registry.docker.io',
          scope: 'repository:a/b:pull,push',
        },
      },
    ])
  })

  it('may be one of several, with blanks, words and escapes', () => {
    expect(parseChallenges('Negotiate, basic realm = "a \\"b\\"" , BEARER Realm=x , error="y"')).toEqual([
      { scheme: 'negotiate', parameters: {} },
      { scheme: 'basic', parameters: { realm: 'a "b"' } },
      { scheme: 'bearer', parameters: { realm: 'x', error: 'y' } },
    ])
  })

  it('that is broken says what can be read', () => {
    expect(parseChallenges('Bearer realm="x",service="unended')).toEqual([
      { scheme: 'bearer', parameters: { realm: 'x' } },
    ])
    expect(parseChallenges('')).toEqual([])
  })

  it('never hangs or throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'aB =",\\\t.'.split('')), maxLength: 200 }), (text) => {
        expect(parseChallenges(text).length).toBeLessThanOrEqual(text.length)
      }),
    )
  })
})
