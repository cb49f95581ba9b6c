import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

/** Which rooms a room may import; docs/architecture.md shows the same as a picture. Dependencies point down only. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  api: [],
  frames: [],
  store: ['domain'],
  'docker-engine': ['domain'],
  'containerd-engine': ['domain'],
  images: ['domain'],
  'guest-system': ['domain'],
  'guest-link': ['domain', 'frames'],
  runner: ['domain', 'frames', 'docker-engine'],
  network: ['domain', 'runner'],
  drivers: [
    'domain',
    'guest-link',
    'guest-system',
    'runner',
    'images',
    'network',
    'docker-engine',
    'containerd-engine',
  ],
  node: ['domain', 'api', 'store', 'drivers', 'images', 'runner', 'guest-link'],
  server: ['domain', 'api', 'store'],
  sdk: ['domain', 'api'],
  cli: [
    'domain',
    'api',
    'frames',
    'store',
    'guest-link',
    'runner',
    'images',
    'guest-system',
    'network',
    'drivers',
    'node',
    'server',
    'sdk',
  ],
}

const root = join(import.meta.dirname, '..')

interface Import {
  readonly file: string
  readonly target: string
}

function importsOf(room: string): Import[] {
  const folder = join(root, 'packages', room)
  return globSync('{src,test}/**/*.ts', { cwd: folder }).flatMap((name) => {
    const file = join(folder, name)
    const text = readFileSync(file, 'utf8')
    return [...text.matchAll(/(?:\bfrom|\bimport|\bimport\s*\()\s*'([^'\s]+)'/g)].map(([, target]) => ({
      file,
      target: target ?? '',
    }))
  })
}

const rooms = globSync('packages/*/package.json', { cwd: root }).map((file) => dirname(file).split('/')[1] ?? '')

describe('the house', () => {
  it('has exactly the rooms of the table', () => {
    expect(rooms.toSorted()).toEqual(Object.keys(MAY_IMPORT).toSorted())
  })

  it.each(rooms)('%s imports only what lies below it, and only through the door', (room) => {
    const imports = importsOf(room)
    const allowed = MAY_IMPORT[room] ?? []
    const wrong = imports.flatMap(({ file, target }) => {
      const where = relative(root, file)
      if (target.startsWith('.')) {
        const inside = resolve(dirname(file), target).startsWith(join(root, 'packages', room) + '/')
        return inside ? [] : [`${where} reaches out of its room: ${target}`]
      }
      const other = /^@cove\/([^/]+)/.exec(target)?.[1]
      if (other === undefined || other === room || allowed.includes(other)) return []
      return [`${where} may not import ${target}`]
    })
    expect(wrong).toEqual([])
  })

  it.each(rooms)('%s declares every package that it imports', (room) => {
    const manifest = JSON.parse(readFileSync(join(root, 'packages', room, 'package.json'), 'utf8')) as {
      dependencies?: Record<string, string>
      devDependencies?: Record<string, string>
    }
    const declared = new Set([
      ...Object.keys(manifest.dependencies ?? {}),
      ...Object.keys(manifest.devDependencies ?? {}),
    ])
    const missing = importsOf(room)
      .filter(({ file }) => !/\.test\.ts$|\/conformance\/|\/test\/support\//.test(file))
      .map(({ target }) => /^(@[^/]+\/[^/]+|[^@./#][^/]*)/.exec(target)?.[1] ?? '')
      .filter((name) => name !== '' && !name.startsWith('node:') && name !== `@cove/${room}` && !declared.has(name))
    expect([...new Set(missing)]).toEqual([])
  })
})

describe('the repository', () => {
  it('names no registry in the lockfile', () => {
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { resolved?: string }>
    }
    const hosts = Object.values(lock.packages).filter(({ resolved }) => resolved?.includes('://') === true)
    expect(hosts).toEqual([])
  })
})
