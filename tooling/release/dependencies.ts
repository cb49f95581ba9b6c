import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** A package of npm that is in the bundle. */
export interface Dependency {
  readonly name: string
  readonly version: string
  /** SPDX expression. */
  readonly license: string
  readonly licenceText: string
  /** As the lockfile has it: `sha512-<base64>`. */
  readonly integrity: string
  /** Names of other dependencies in the bundle that it asks for. */
  readonly needs: readonly string[]
}

interface Manifest {
  readonly name: string
  readonly version: string
  readonly license?: string
  readonly dependencies?: Readonly<Record<string, string>>
}

interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly integrity?: string }>>
}

const PERMISSIVE: ReadonlySet<string> = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '(Apache-2.0 AND BSD-3-Clause)',
])

/** Packages without a licence file of their own, and the text that their licence asks to hand on. */
const WITHOUT_FILE: Readonly<Record<string, readonly string[]>> = {
  '@bufbuild/protobuf': ['LICENSE', 'tooling/release/licences/BSD-3-Clause-Google.txt'],
  '@connectrpc/connect': ['LICENSE'],
  '@connectrpc/connect-node': ['LICENSE'],
}

/** The packages that these sources come from, by name. Throws when one may not be handed on, or its licence is unclear. */
export function bundledDependencies(root: string, inputs: readonly string[]): readonly Dependency[] {
  const folders = new Set<string>()
  for (const input of inputs) {
    const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)
    if (match?.[1] !== undefined) folders.add(match[1])
  }
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lockfile
  const manifests = new Map([...folders].map((folder) => [folder, manifestOf(join(root, folder))]))
  const names = new Set([...manifests.values()].map(({ name }) => name))
  return [...manifests]
    .map(([folder, { name, version, license = '', dependencies = {} }]): Dependency => {
      if (!PERMISSIVE.has(license)) throw new Error(`${name} has the licence ${license || 'unknown'}`)
      const { version: locked, integrity } = lock.packages[folder] ?? {}
      if (locked !== version || integrity === undefined) throw new Error(`${folder} is not what the lockfile says`)
      const needs = Object.keys(dependencies).filter((other) => names.has(other))
      return { name, version, license, licenceText: licenceText(root, folder, name), integrity, needs }
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

const manifestOf = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest

function licenceText(root: string, folder: string, name: string): string {
  const own = readdirSync(join(root, folder)).filter((file) => /^(?:licen[cs]e|notice)(?:\..*)?$/i.test(file))
  const files = own.length > 0 ? own.map((file) => join(folder, file)) : (WITHOUT_FILE[name] ?? [])
  const texts = files
    .filter((file) => existsSync(join(root, file)))
    .map((file) => readFileSync(join(root, file), 'utf8'))
  if (texts.length === 0) throw new Error(`${name} has no licence text`)
  return texts.map((text) => text.trim().replaceAll('\r\n', '\n')).join('\n\n')
}
