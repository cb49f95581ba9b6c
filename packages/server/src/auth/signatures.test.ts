import { createSecretKey, type KeyObject } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { newSandboxId, randomId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { Query } from '../doors/http/query.ts'
import { readFileUrl, signFileUrl, type FileGrant } from './file-signature.ts'
import { tokenOf } from './credentials.ts'
import { makeToken, readToken, type TokenClaims } from './sandbox-token.ts'

const secret = createSecretKey(systemRandom.bytes(32))
const otherSecret = createSecretKey(systemRandom.bytes(32))

const ids = fc.constant(null).map(() => randomId(systemRandom))
const claims: fc.Arbitrary<TokenClaims> = fc.record({
  id: ids,
  sandbox: fc.constant(null).map(() => newSandboxId(systemRandom)),
  role: fc.constantFrom('viewer', 'member'),
  expiresAt: fc.integer({ min: 0, max: 10_000_000_000 }).map((seconds) => seconds * 1000),
  issuer: fc.oneof(ids, fc.constantFrom('first', 'test-key')),
})
const grants: fc.Arbitrary<FileGrant> = fc.record({
  sandbox: fc.constant(null).map(() => newSandboxId(systemRandom)),
  path: fc.string({ unit: 'grapheme', maxLength: 80 }).map((path) => `/${path}`),
  user: fc.constantFrom('', 'user', 'root'),
  operation: fc.constantFrom('read', 'write'),
  expires: fc.integer({ min: 0, max: 999_999_999_999 }),
  key: fc.oneof(ids, fc.constant('first')),
})

/** One character put in, taken out or replaced. */
const edits = fc.record({
  at: fc.nat(),
  kind: fc.constantFrom('insert', 'remove', 'replace'),
  text: fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 1 }),
})

function edit(text: string, { at, kind, text: put }: { at: number; kind: string; text: string }): string {
  const place = at % text.length
  const rest = kind === 'insert' ? text.slice(place) : text.slice(place + 1)
  return text.slice(0, place) + (kind === 'remove' ? '' : put) + rest
}

describe('a token', () => {
  test('says what was put into it, only to who has the secret, and fits a header', () => {
    fc.assert(
      fc.property(claims, (said) => {
        const token = makeToken(secret, said)
        expect(readToken(secret, token)).toEqual(said)
        expect(readToken(otherSecret, token)).toBeUndefined()
        expect(tokenOf({ authorization: `Bearer ${token}` })).toBe(token)
      }),
    )
  })

  test('with anything changed says nothing', () => {
    fc.assert(
      fc.property(claims, edits, (said, change) => {
        const token = makeToken(secret, said)
        const changed = edit(token, change)
        expect(readToken(secret, changed)).toEqual(changed === token ? said : undefined)
      }),
      { numRuns: 500 },
    )
  })

  test('is nothing that somebody makes up', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (text) => {
        expect(readToken(secret, text)).toBeUndefined()
        expect(readToken(secret, `cove_sbx_${text}`)).toBeUndefined()
      }),
    )
  })
})

/** As the door reads it. */
function read(key: KeyObject, url: string): FileGrant | undefined {
  const [, sandbox = '', query = ''] = /^\/v1\/sandboxes\/([^/]+)\/files\?(.*)$/s.exec(url) ?? []
  try {
    return readFileUrl(key, sandbox, new Query(query).all)
  } catch {
    return undefined
  }
}

describe('a signed address', () => {
  test('grants what was signed, only with the secret', () => {
    fc.assert(
      fc.property(grants, (grant) => {
        const url = signFileUrl(secret, grant)
        expect(read(secret, url)).toEqual(grant)
        expect(read(otherSecret, url)).toBeUndefined()
      }),
    )
  })

  test('with anything changed grants nothing else', () => {
    fc.assert(
      fc.property(grants, edits, (grant, change) => {
        const url = signFileUrl(secret, grant)
        const granted = read(secret, edit(url, change))
        // Another spelling of the same, such as %2f for %2F, is the same.
        expect(granted ?? grant).toEqual(grant)
      }),
      { numRuns: 500 },
    )
  })

  test('has its parameters once and no others', () => {
    fc.assert(
      fc.property(
        grants,
        fc.constantFrom('path', 'user', 'operation', 'expires', 'key', 'signature'),
        (grant, name) => {
          const url = signFileUrl(secret, grant)
          const value = new URLSearchParams(url.slice(url.indexOf('?'))).get(name) ?? ''
          expect(read(secret, `${url}&${name}=${encodeURIComponent(value)}`)).toBeUndefined()
          expect(read(secret, `${url}&more=1`)).toBeUndefined()
        },
      ),
    )
  })
})
