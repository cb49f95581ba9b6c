import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CoveError } from './errors/cove-error.ts'
import { formatSource, parseSource, readsNode, type ParsedSource } from './image-source.ts'

describe('the source of an image', () => {
  it.each([
    ['host', { kind: 'host' }],
    ['oci:alpine:3.20', { kind: 'oci', reference: 'alpine:3.20' }],
    ['oci:ghcr.io/x/y@sha256:00', { kind: 'oci', reference: 'ghcr.io/x/y@sha256:00' }],
    ['oci-layout:/srv/img', { kind: 'oci-layout', path: '/srv/img' }],
    ['oci-layout:/srv/img/:v1', { kind: 'oci-layout', path: '/srv/img', name: 'v1' }],
    ['oci-archive:/a.tar', { kind: 'oci-archive', path: '/a.tar' }],
    ['docker-archive:/a.tar:x/y:1', { kind: 'docker-archive', path: '/a.tar', name: 'x/y:1' }],
    ['debian:bookworm', { kind: 'debian', suite: 'bookworm', packages: [] }],
    ['debian:trixie+python3,g++,git,git', { kind: 'debian', suite: 'trixie', packages: ['g++', 'git', 'python3'] }],
    ['dockerfile:/src', { kind: 'dockerfile', path: '/src' }],
    ['directory:/srv//root/./x/', { kind: 'directory', path: '/srv/root/x' }],
    ['directory:/', { kind: 'directory', path: '/' }],
    ['tar:/root.tar', { kind: 'tar', path: '/root.tar' }],
  ])('%s', (text, parsed) => {
    expect(parseSource(text)).toEqual(parsed)
    expect(parseSource(formatSource(parseSource(text)))).toEqual(parsed)
  })

  it.each([
    '',
    'alpine',
    'oci:',
    'oci: x',
    'docker:x',
    'tar:root.tar',
    'directory:/a/../b',
    'tar:/a\u0000b',
    'oci-layout:/a:',
    'debian:',
    'debian:Bookworm',
    'debian:x+',
    'debian:x+a,--purge',
    'debian:x+-o',
    `oci:${'a'.repeat(5_000)}`,
  ])('refuses %j', (text) => {
    expect(() => parseSource(text)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  })

  it('is read or refused, whatever it is, and reads back', () => {
    const kinds = fc.constantFrom('oci', 'oci-layout', 'docker-archive', 'debian', 'directory', 'tar', 'x')
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.tuple(kinds, fc.string()).map((parts) => parts.join(':')),
      fc.tuple(kinds, fc.string()).map(([kind, path]) => `${kind}:/${path}`),
    )
    fc.assert(
      fc.property(text, (source) => {
        const parsed = readOrRefuse(source)
        const again = parsed === undefined ? undefined : parseSource(formatSource(parsed))
        expect(again).toEqual(parsed)
      }),
    )
  })

  it('knows which ones read files of the node', () => {
    const sources = ['host', 'oci:x', 'debian:x', 'tar:/x', 'directory:/x', 'dockerfile:/x', 'oci-layout:/x']
    expect(sources.filter((source) => readsNode(parseSource(source).kind))).toEqual(sources.slice(3))
  })
})

function readOrRefuse(source: string): ParsedSource | undefined {
  try {
    return parseSource(source)
  } catch (error) {
    if (error instanceof CoveError) return undefined
    throw error
  }
}
