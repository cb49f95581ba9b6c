import { CoveError } from '@cove/domain'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseDevEnv, shellEnvironment } from './dev-env.ts'

const exported = (value: unknown) => ({ type: 'exported', value })

test('exported variables are taken, and what belongs to the build is not', () => {
  const variables = {
    FOO: exported('bar'),
    PATH: exported('/store/bin'),
    HOME: exported('/homeless-shelter'),
    TMPDIR: exported('/tmp/nix-build-shell.drv-0'),
    out: exported('/store/out'),
    IFS: { type: 'var', value: ' ' },
    LIST: { type: 'array', value: ['a'] },
    'BAD-NAME': exported('x'),
    NUL: exported('a\0b'),
    NUMBER: exported(1),
  }
  expect(parseDevEnv(JSON.stringify({ bashFunctions: {}, variables }))).toEqual({ FOO: 'bar', PATH: '/store/bin' })
  const nowhere = { PATH: exported('/path-not-set') }
  expect(parseDevEnv(JSON.stringify({ variables: nowhere }))).toEqual({})
})

const read = (text: string): string => {
  try {
    return Object.values(parseDevEnv(text)).every((value) => typeof value === 'string') ? 'variables' : 'others'
  } catch (error) {
    return CoveError.from(error).code
  }
}

test('whatever nix prints, the answer is variables or an error of the registry', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      expect(['variables', 'driver-failed']).toContain(read(text))
    }),
  )
})

test('the shell goes before the host, and of the host only the few that every program needs are there', () => {
  const host = { HOME: '/home/me', PATH: '/bin', TMPDIR: '/tmp/me', SECRET_TOKEN: 'x', XDG_CACHE_HOME: '/cache' }
  expect(shellEnvironment({ PATH: '/store/bin', FOO: 'bar' }, host)).toEqual({
    HOME: '/home/me',
    PATH: '/store/bin',
    TMPDIR: '/tmp/me',
    FOO: 'bar',
    GOCACHE: '/cache/cove/go-build',
    GOMODCACHE: '/cache/cove/go-mod',
  })
  expect(shellEnvironment({ GOCACHE: '/mine' }, host)['GOCACHE']).toBe('/mine')
})
