import { readFileSync, readdirSync, statSync } from 'node:fs'
import { hostname, homedir } from 'node:os'
import { join } from 'node:path'

/** The package may grow, but not by accident: a bundled native module or a second copy of a library is more than this. */
const MOST_PACKED_BYTES = 4 * 1024 * 1024

/** Everything that may be in the package; one pattern for each kind of file. */
const ALLOWED: readonly RegExp[] = [
  /^package\.json$/,
  /^README\.md$/,
  /^LICENSE$/,
  /^THIRD-PARTY-NOTICES\.txt$/,
  /^SBOM\.cdx\.json$/,
  /^bin\/cove\.mjs$/,
  /^dist\/(?:start|worker)\.js$/,
  /^dist\/[\w.-]+-[A-Z0-9]{8}\.js$/,
  /^guest\/SHA256SUMS$/,
  /^guest\/linux-(?:x64|arm64)\/cove-(?:guest|layers|boot)$/,
]

/** Everything that must be in it. */
const NEEDED: readonly string[] = [
  'package.json',
  'README.md',
  'LICENSE',
  'THIRD-PARTY-NOTICES.txt',
  'SBOM.cdx.json',
  'bin/cove.mjs',
  'dist/start.js',
  'dist/worker.js',
  'guest/SHA256SUMS',
]

interface Manifest {
  readonly name: string
  readonly version: string
  readonly bin: Readonly<Record<string, string>>
  readonly [field: string]: unknown
}

/** What is wrong with an unpacked package; empty when it may be published. `root` is the checkout that made it. */
export function examine(folder: string, root: string): readonly string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
  return [
    ...files.filter((name) => !ALLOWED.some((pattern) => pattern.test(name))).map((name) => `${name} does not belong`),
    ...NEEDED.filter((name) => !files.includes(name)).map((name) => `${name} is missing`),
    ...files.flatMap((name) => problemsOfFile(folder, name, root)),
    ...problemsOfManifest(folder),
  ]
}

/** Traces of the machine that built it, and of where it got its parts. */
function problemsOfFile(folder: string, name: string, root: string): readonly string[] {
  const path = join(folder, name)
  const program = name === 'bin/cove.mjs' || /\/cove-(?:guest|layers|boot)$/.test(name)
  const mode = statSync(path).mode & 0o777
  const problems = mode === (program ? 0o755 : 0o644) ? [] : [`${name} has the mode ${mode.toString(8)}`]
  const content = readFileSync(path, 'latin1')
  const traces = new Map([
    [root, 'the folder it was built in'],
    [`${homedir()}/`, 'a home directory'],
    ['registry.npmjs.org', 'the registry'],
    ['sourceMappingURL', 'a source map'],
  ])
  if (hostname().length > 4) traces.set(hostname(), 'the machine it was built on')
  for (const [trace, what] of traces) if (content.includes(trace)) problems.push(`${name} names ${what}`)
  if (name.endsWith('.js') || name.endsWith('.mjs')) {
    for (const [, target = ''] of content.matchAll(/(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g)) {
      try {
        statSync(join(path, '..', target))
      } catch {
        problems.push(`${name} imports ${target}, which is not there`)
      }
    }
  }
  return problems
}

/** Whatever a package manager would run at install time, or fetch besides. */
const UNWANTED = ['scripts', 'dependencies', 'optionalDependencies', 'peerDependencies', 'devDependencies', 'private']

function problemsOfManifest(folder: string): readonly string[] {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
  const problems = UNWANTED.filter((field) => field in manifest).map((field) => `package.json has ${field}`)
  const starter = readFileSync(join(folder, manifest.bin['cove'] ?? ''), 'utf8')
  if (!starter.startsWith('#!/usr/bin/env node\n')) problems.push('the command does not start with #!')
  return problems
}

/** Problems of the tarball itself. */
export function examineTarball(tarball: string): readonly string[] {
  const { size } = statSync(tarball)
  return size <= MOST_PACKED_BYTES ? [] : [`the package has ${size} bytes, more than ${MOST_PACKED_BYTES}`]
}
