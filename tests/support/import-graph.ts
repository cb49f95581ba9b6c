import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

const PACKAGES = join(import.meta.dirname, '../../packages')

export interface ImportGraph {
  /** Source files of ours. */
  readonly files: ReadonlySet<string>
  /** Packages of others, and Node's own modules as `node:…`. */
  readonly packages: ReadonlySet<string>
}

interface Manifest {
  readonly exports: Readonly<Record<string, string>>
  readonly imports?: Readonly<Record<string, Readonly<Record<string, string>>>>
}

/** Everything that is loaded together with these files: static imports only, under one condition of `imports`. */
export function importGraph(entries: readonly string[], condition: 'node' | 'default'): ImportGraph {
  const files = new Set<string>()
  const packages = new Set<string>()
  const waiting = [...entries]
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (files.has(file)) continue
    files.add(file)
    for (const target of staticImports(readFileSync(file, 'utf8'))) {
      const found = locate(target, file, condition)
      if (found === undefined) packages.add(/^(?:@[^/]+\/)?[^/]+/.exec(target)?.[0] ?? target)
      else waiting.push(found)
    }
  }
  return { files, packages }
}

/** What is written at the beginning of a line as `import … from` or `export … from`, types left out. */
function staticImports(text: string): string[] {
  const pattern = /^(?:import|export)\s+(?!type\b)(?:[^'"()]*?\sfrom\s+)?['"]([^'"]+)['"]/gm
  return [...text.matchAll(pattern)].map(([, target]) => target ?? '')
}

function locate(target: string, from: string, condition: 'node' | 'default'): string | undefined {
  if (target.startsWith('.')) return resolve(dirname(from), target)
  const room = /packages\/([^/]+)\//.exec(from)?.[1] ?? ''
  if (target.startsWith('#')) {
    const path = manifestOf(room).imports?.[target]?.[condition]
    if (path === undefined) throw new Error(`${from} imports ${target}, which its package does not know`)
    return join(PACKAGES, room, path)
  }
  const [, other, rest = ''] = /^@cove\/([^/]+)(\/.+)?$/.exec(target) ?? []
  if (other === undefined) return undefined
  const path = manifestOf(other).exports[`.${rest}`]
  const file = join(PACKAGES, other, path ?? '')
  if (path === undefined || !existsSync(file)) throw new Error(`${from} imports ${target}, which is not there`)
  return file
}

function manifestOf(room: string): Manifest {
  return JSON.parse(readFileSync(join(PACKAGES, room, 'package.json'), 'utf8')) as Manifest
}
