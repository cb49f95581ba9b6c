import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

/** What a directory looks like it needs; all of it may be answered otherwise. */
export interface Guess {
  readonly name: string
  /** What it was seen by, for the user to judge. */
  readonly because: readonly string[]
  readonly network: 'none' | 'internet'
  readonly ports: readonly number[]
  readonly copy: readonly string[]
  readonly setup: readonly string[]
}

const LOCKFILES: readonly (readonly [file: string, install: string])[] = [
  ['package-lock.json', 'npm ci'],
  ['npm-shrinkwrap.json', 'npm ci'],
]

/** Ports that these tools listen on where nobody says otherwise. */
const PORTS: ReadonlyMap<string, number> = new Map([
  ['next', 3000],
  ['react-scripts', 3000],
  ['express', 3000],
  ['fastify', 3000],
  ['vite', 5173],
  ['astro', 4321],
  ['flask', 5000],
  ['django', 8000],
  ['fastapi', 8000],
  ['uvicorn', 8000],
  ['streamlit', 8501],
])

export function guess(directory: string): Guess {
  const node = lookAtNode(directory)
  const python = lookAtPython(directory)
  const found = [node, python].filter((part) => part !== undefined)
  const setup = found.flatMap((part) => part.setup)
  return {
    name: nameFrom(node?.name ?? basename(directory)),
    because: found.map(({ file }) => file),
    // Packages come from a registry.
    network: setup.length > 0 ? 'internet' : 'none',
    ports: [...new Set(found.flatMap(({ uses }) => uses.flatMap((name) => PORTS.get(name) ?? [])))],
    copy: found.flatMap((part) => part.copy),
    setup,
  }
}

interface Part {
  readonly file: string
  readonly name?: string
  readonly uses: readonly string[]
  readonly copy: readonly string[]
  readonly setup: readonly string[]
}

function lookAtNode(directory: string): Part | undefined {
  const file = 'package.json'
  const text = read(directory, file)
  if (text === undefined) return undefined
  const manifest = parseObject(text)
  const uses = [...keysOf(manifest['dependencies']), ...keysOf(manifest['devDependencies'])]
  const lock = LOCKFILES.find(([name]) => existsSync(join(directory, name)))
  const setup = uses.length === 0 ? [] : [lock?.[1] ?? 'npm install']
  return {
    file,
    ...(typeof manifest['name'] === 'string' ? { name: manifest['name'] } : {}),
    uses,
    copy: setup.length === 0 ? [] : [file, ...(lock === undefined ? [] : [lock[0]])],
    setup,
  }
}

function lookAtPython(directory: string): Part | undefined {
  const file = 'requirements.txt'
  const text = read(directory, file)
  if (text === undefined) return undefined
  const uses = text
    .split('\n')
    .map((line) => /^[A-Za-z0-9._-]+/.exec(line.trim())?.[0].toLowerCase() ?? '')
    .filter((name) => name !== '')
  if (uses.length === 0) return { file, uses, copy: [], setup: [] }
  // Distributions do not let packages be installed beside their own, so they go into an environment.
  return { file, uses, copy: [file], setup: ['python3 -m venv .venv', `.venv/bin/pip install -r ${file}`] }
}

/** `@scope/My App` becomes `my-app`. */
function nameFrom(text: string): string {
  const name = text
    .replace(/^@[^/]*\//, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')
  return name === '' ? 'work' : name
}

function read(directory: string, file: string): string | undefined {
  try {
    return readFileSync(join(directory, file), 'utf8')
  } catch {
    return undefined
  }
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

const keysOf = (value: unknown): string[] => (typeof value === 'object' && value !== null ? Object.keys(value) : [])
