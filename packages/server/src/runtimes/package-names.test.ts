import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkPackages } from './package-names.ts'
import type { RuntimeName } from './runtimes.ts'

const takes = (runtime: RuntimeName, name: string): boolean => {
  try {
    checkPackages(runtime, [name])
    return true
  } catch {
    return false
  }
}

const word = fc.stringMatching(/^[a-z0-9]{1,12}$/)
const version = fc.tuple(fc.nat(99), fc.nat(99)).map(([major, minor]) => `${major}.${minor}`)
const maybe = (part: fc.Arbitrary<string>) => fc.oneof(fc.constant(''), part)
const joined = (...parts: fc.Arbitrary<string>[]) => fc.tuple(...parts).map((all) => all.join(''))

const NAMES: Readonly<Record<RuntimeName, fc.Arbitrary<string>>> = {
  python: joined(
    word,
    maybe(fc.array(word, { minLength: 1, maxLength: 3 }).map((extras) => `[${extras.join(',')}]`)),
    maybe(
      fc
        .array(joined(fc.constantFrom('==', '>=', '<', '~=', '!=', '==='), version), { minLength: 1, maxLength: 3 })
        .map((bounds) => bounds.join(',')),
    ),
    maybe(version.map((text) => `; python_version >= "${text}" and sys_platform == 'linux'`)),
  ),
  node: joined(
    maybe(word.map((scope) => `@${scope}/`)),
    word,
    maybe(joined(fc.constantFrom('@', '@^', '@~', '@>=', '@=', '@v'), version)),
  ),
  shell: joined(
    word,
    maybe(fc.constantFrom('+', '++', '-dev', ':amd64')),
    maybe(joined(fc.constantFrom('=', '>=', '~'), version)),
  ),
}

describe.each(['python', 'node', 'shell'] as const)('names of packages for %s', (runtime) => {
  it('are taken as its manager writes them', () => {
    fc.assert(
      fc.property(NAMES[runtime], (name) => {
        expect(() => checkPackages(runtime, [name])).not.toThrow()
      }),
    )
  })

  it('are refused with a character of the shell, a path or a line break in any place', () => {
    const bad = fc.constantFrom(
      '$',
      '`',
      '&',
      '{',
      '}',
      '\\',
      '\n',
      '\r',
      '\0',
      '\t',
      '#',
      '%',
      '?',
      '..//',
      '://',
      ';rm ',
      '(',
      ')',
      'é',
    )
    fc.assert(
      fc.property(NAMES[runtime], bad, fc.nat(), (name, evil, where) => {
        const at = where % (name.length + 1)
        expect(takes(runtime, name.slice(0, at) + evil + name.slice(at))).toBe(false)
      }),
    )
  })

  it('are refused as options and as what lies in a folder', () => {
    const start = fc.constantFrom('-', '--', '.', '/', '~', './', '../', '@', ' ', '=', '"')
    fc.assert(
      fc.property(NAMES[runtime], start, (name, begin) => {
        fc.pre(!(runtime === 'node' && begin === '@' && name.includes('/')))
        expect(takes(runtime, begin + name)).toBe(false)
      }),
    )
    for (const end of ['.whl', '.tar.gz', '.tgz', '.zip', '.rpm', '.deb', '.TAR']) {
      expect(takes(runtime, `thing${end}`)).toBe(false)
    }
  })

  it('are looked at in a time that grows no faster than they do', () => {
    const before = process.threadCpuUsage()
    for (const piece of ['a', 'a.', 'a-', '>=1,', '[a', ' ', '1 ', '^1 ', ' || 1', '@a/']) {
      takes(runtime, `a${piece.repeat(100)}!`.slice(0, 256))
      takes(runtime, `a@${piece.repeat(100)}!`.slice(0, 256))
      takes(runtime, `a[${piece.repeat(100)}!`.slice(0, 256))
    }
    expect(process.threadCpuUsage(before).user).toBeLessThan(500_000)
    expect(takes(runtime, 'a'.repeat(257))).toBe(false)
  })
})

it.each([
  ['python', 'requests'],
  ['python', 'zope.interface'],
  ['python', 'requests[socks, use_chardet] >= 2.31, < 3'],
  ['python', 'torch==2.1.0+cpu'],
  ['python', 'importlib-metadata>=4; python_version < "3.10"'],
  ['python', 'django~=4.2'],
  ['python', 'numpy==1.*'],
  ['node', 'lodash'],
  ['node', '@types/node@20.1.0'],
  ['node', '@scope/name@1.2'],
  ['node', 'react@next'],
  ['node', 'react@>=16 <19'],
  ['node', 'react@^17 || ^18'],
  ['node', 'left-pad@1.x'],
  ['node', 'JSONStream@1.3.5'],
  ['node', 'socket.io@1.0.0-beta.2'],
  ['shell', 'g++'],
  ['shell', 'libstdc++6'],
  ['shell', 'python3.11-dev'],
  ['shell', 'jq=1.6-2.1'],
  ['shell', 'libc6:i386'],
  ['shell', 'openssl~3.1'],
  ['shell', 'vim=2:9.0.1378-2'],
] as const)('for %s: %s', (runtime, name) => {
  expect(takes(runtime, name)).toBe(true)
})

it.each([
  ['python', 'pkg @ https://evil/x.whl'],
  ['python', 'pkg; os_name == "posix" and $(id)'],
  ['python', 'pkg; rm -rf /'],
  ['python', 'pkg --index-url=http://evil'],
  ['python', 'a b'],
  ['python', 'pkg[extra'],
  ['python', 'pkg.whl[extra]'],
  ['python', 'pkg.whl; os_name == "posix"'],
  ['node', 'pkg@file:../x'],
  ['node', 'pkg@npm:other@1'],
  ['node', 'user/repository'],
  ['node', 'git@host:x'],
  ['node', '@scope'],
  ['node', '@scope/../x'],
  ['node', 'pkg@https://evil'],
  ['node', 'pkg@user/repository'],
  ['node', 'pkg@1 --ignore-scripts'],
  ['shell', 'bash-'],
  ['shell', 'bash=5.2-'],
  ['shell', 'curl/stable'],
  ['shell', '@development'],
  ['shell', 'curl; id'],
  ['shell', 'a*'],
] as const)('not for %s: %s', (runtime, name) => {
  expect(takes(runtime, name)).toBe(false)
})

it('the offending name is told, and no more of it than fits', () => {
  expect(() => checkPackages('python', ['good', 'bad;name'])).toThrow(
    expect.objectContaining({ code: 'invalid-argument', message: '"bad;name" is not the name of a Python package' }),
  )
  const long = `${'x'.repeat(10_000)};`
  expect(() => checkPackages('node', [long])).toThrow(
    expect.objectContaining({ context: { field: 'packages', package: `${'x'.repeat(80)}…` } }),
  )
  expect(() =>
    checkPackages(
      'shell',
      Array.from({ length: 101 }, () => 'x'),
    ),
  ).toThrow(/at most 100/)
  checkPackages(
    'shell',
    Array.from({ length: 100 }, () => 'x'),
  )
})
