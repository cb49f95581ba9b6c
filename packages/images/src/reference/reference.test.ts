import { CoveError } from '@cove/domain'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatReference, isRegistryName, parseReference } from './reference.ts'

const sha = `sha256:${'a1'.repeat(32)}`

/** In full, or the code of the error. */
function fullOf(text: string): string {
  try {
    return formatReference(parseReference(text))
  } catch (error) {
    if (error instanceof CoveError) return error.code
    throw error
  }
}

describe('a reference', () => {
  it.each([
    ['alpine', 'docker.io/library/alpine:latest'],
    ['alpine:3.20', 'docker.io/library/alpine:3.20'],
    ['user/app', 'docker.io/user/app:latest'],
    ['docker.io/alpine', 'docker.io/library/alpine:latest'],
    ['index.docker.io/user/app:x', 'docker.io/user/app:x'],
    ['localhost/x', 'localhost/x:latest'],
    ['localhost:5000/x/y/z:1', 'localhost:5000/x/y/z:1'],
    ['GHCR.io/x/y', 'ghcr.io/x/y:latest'],
    ['127.0.0.1:5000/x', '127.0.0.1:5000/x:latest'],
    ['[::1]:5000/x:a', '[::1]:5000/x:a'],
    ['[fd12::7]/x', '[fd12::7]/x:latest'],
    [`alpine@${sha}`, `docker.io/library/alpine@${sha}`],
    [`ghcr.io/x/y:1@${sha}`, `ghcr.io/x/y:1@${sha}`],
    ['x__y/a-b---c.d:_T', 'docker.io/x__y/a-b---c.d:_T'],
  ])('%s is %s', (text, full) => {
    expect(formatReference(parseReference(text))).toBe(full)
  })

  it.each([
    '',
    ':',
    '@',
    '/',
    'a//b',
    'Alpine',
    'User/app',
    'a:',
    'a:-x',
    `a:${'t'.repeat(129)}`,
    'a@sha256:12',
    `a@md5:${'a'.repeat(32)}`,
    `a@${sha.toUpperCase()}`,
    'a___b',
    'a..b',
    '-a',
    'ghcr.io/',
    'ghcr.io:0/x',
    'ghcr.io:65536/x',
    'gh_cr.io/x',
    '[::1/x',
    '[1.2.3.4]:5000/x',
    'a/../b',
    'a b',
    'a\n',
    'http://x/y',
    'a'.repeat(64),
    'x'.repeat(256),
    'y'.repeat(5_000),
  ])('%j is refused', (text) => {
    expect(fullOf(text)).toBe('invalid-argument')
  })

  it('is read or refused, whatever it is, and reads back as it was written', () => {
    const texts = fc.oneof(
      fc.string({ maxLength: 40, unit: 'binary' }),
      fc.string({ maxLength: 40, unit: fc.constantFrom(...'ab0.:/@-_[]A'.split('')) }),
    )
    fc.assert(
      fc.property(texts, (text) => {
        const full = fullOf(text)
        fc.pre(full !== 'invalid-argument')
        expect(formatReference(parseReference(full))).toBe(full)
        expect(full).toMatch(/^[a-z0-9.:[\]-]+\/[a-z0-9._/-]+(:[\w.-]+)?(@sha\d+:[0-9a-f]+)?$/)
        expect(full).not.toMatch(/\.\./)
      }),
      { numRuns: 100, maxSkipsPerRun: 1_000 },
    )
  })

  it('of every well-formed part is understood', () => {
    const part = fc.stringMatching(/^[a-z0-9]+([._-][a-z0-9]+)?$/, { maxLength: 20 })
    const host = fc.stringMatching(/^[a-z0-9]+\.[a-z0-9]+(:[1-9][0-9]{0,3})?$/, { maxLength: 40 })
    const tag = fc.stringMatching(/^[\w][\w.-]{0,20}$/)
    fc.assert(
      fc.property(host, fc.array(part, { minLength: 1, maxLength: 4 }), tag, (registry, path, name) => {
        const repository = path.join('/')
        if (/^[0-9a-f]{64}$/.test(repository)) return
        expect(isRegistryName(registry)).toBe(true)
        expect(parseReference(`${registry}/${repository}:${name}`)).toEqual({ registry, repository, tag: name })
      }),
    )
  })
})
