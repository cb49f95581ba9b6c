import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loginOf } from './docker-config.ts'

const auth = (text: string): string => Buffer.from(text).toString('base64')

describe('a configuration of Docker', () => {
  it.each(['https://index.docker.io/v1/', 'docker.io', 'https://docker.io', 'index.docker.io', 'registry-1.docker.io'])(
    'knows docker.io as %s',
    (key) => {
      expect(loginOf({ auths: { [key]: { auth: auth('ann:a:b') } } }, 'docker.io')).toEqual({
        credentials: { kind: 'basic', username: 'ann', password: 'a:b' },
      })
    },
  )

  it('keeps registries apart by name and port', () => {
    const config = { auths: { 'r.io': { auth: auth('a:1') }, 'r.io:5000': { auth: auth('b:2') } } }
    expect(loginOf(config, 'r.io:5000').credentials).toMatchObject({ username: 'b' })
    expect(loginOf(config, 'r.io').credentials).toMatchObject({ username: 'a' })
    expect(loginOf(config, 'x.r.io')).toEqual({})
  })

  it('may have tokens, names in the clear, and helpers', () => {
    const auths = {
      a: { identitytoken: 'i', auth: auth('<token>:') },
      b: { registrytoken: 'r' },
      c: { username: 'u', password: 'p' },
      d: {},
      e: { auth: '!!!' },
    }
    expect(loginOf({ auths }, 'a').credentials).toEqual({ kind: 'identity-token', token: 'i' })
    expect(loginOf({ auths }, 'b').credentials).toEqual({ kind: 'registry-token', token: 'r' })
    expect(loginOf({ auths }, 'c').credentials).toEqual({ kind: 'basic', username: 'u', password: 'p' })
    expect(loginOf({ auths }, 'd')).toEqual({})
    expect(loginOf({ auths }, 'e')).toEqual({})
    const helped = { auths, credsStore: 'pass', credHelpers: { 'x.io': 'ecr-login' } }
    expect(loginOf(helped, 'x.io')).toEqual({ helper: 'ecr-login' })
    expect(loginOf(helped, 'c')).toMatchObject({ helper: 'pass', credentials: { username: 'u' } })
  })

  it('of any shape gives something or nothing', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('auths', 'credHelpers', 'credsStore', 'x'), fc.jsonValue()),
        (config) => {
          const { helper, credentials } = loginOf(config, 'constructor')
          expect(typeof (helper ?? '')).toBe('string')
          expect(['basic', 'identity-token', 'registry-token', undefined]).toContain(credentials?.kind)
        },
      ),
    )
  })
})
