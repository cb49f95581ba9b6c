import { execFileSync } from 'node:child_process'
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
/** The rooms that the client is made of; only the first one is seen from outside. */
const ROOMS = ['sdk', 'domain', 'api'] as const

interface Manifest {
  readonly version: string
  readonly license: string
  readonly imports: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly dependencies: Readonly<Record<string, string>>
}

/**
 * Builds `@cove/sdk` as it is published: JavaScript and type declarations of the client and of the two rooms that it
 * stands on, in one package that depends on nothing of ours. Answers with the path of the tarball in `out`.
 */
export function packSdk(out: string): string {
  const stage = mkdtempSync(join(tmpdir(), 'cove-pack-'))
  try {
    stageSources(stage)
    compile(stage)
    writeFileSync(join(stage, 'package.json'), `${JSON.stringify(publishedManifest(), null, 2)}\n`)
    cpSync(join(ROOT, 'docs/sdk.md'), join(stage, 'README.md'))
    cpSync(join(ROOT, 'LICENSE'), join(stage, 'LICENSE'))
    mkdirSync(out, { recursive: true })
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', resolve(out)]
    const [packed] = JSON.parse(execFileSync('npm', args, { cwd: stage, encoding: 'utf8' })) as { filename: string }[]
    if (packed === undefined) throw new Error('npm packed nothing')
    return join(resolve(out), packed.filename)
  } finally {
    rmSync(stage, { recursive: true })
  }
}

/** Copies the sources side by side, with paths between them in place of package names. */
function stageSources(stage: string): void {
  for (const room of ROOMS) {
    const source = join(ROOT, 'packages', room, 'src')
    for (const name of globSync('**/*.ts', { cwd: source })) {
      if (name.endsWith('.test.ts')) continue
      const target = join(stage, 'src', room, name)
      mkdirSync(dirname(target), { recursive: true })
      const text = readFileSync(join(source, name), 'utf8')
      const local = text.replaceAll(/'@cove\/(domain|api)'/g, (_, other: string) => {
        const path = relative(dirname(target), join(stage, 'src', other, 'index.ts'))
        return `'${path.startsWith('.') ? path : `./${path}`}'`
      })
      writeFileSync(target, room === 'domain' ? withoutNodeTypes(local) : local)
    }
  }
  // Types of a room's tests and of its ports may name more than the client does; only what it imports is compiled.
  const config = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: {
      target: 'es2023',
      noEmit: false,
      declaration: true,
      stripInternal: true,
      rewriteRelativeImportExtensions: true,
      rootDir: 'src',
      outDir: 'dist',
      noUnusedLocals: false,
      customConditions: ['node'],
      typeRoots: [join(ROOT, 'node_modules/@types')],
    },
    files: ['src/sdk/index.ts', ...platformFiles().map((path) => `src/sdk/${path}`)],
    include: [],
  }
  writeFileSync(join(stage, 'tsconfig.json'), JSON.stringify(config))
  writeFileSync(
    join(stage, 'package.json'),
    JSON.stringify({ type: 'module', imports: importsMap('./src/sdk', '.ts') }),
  )
}

/** Ports inside the daemon name Node's streams; the client shows none of them, and browsers have no such types. */
function withoutNodeTypes(text: string): string {
  return text.replace("import type { Duplex } from 'node:stream'", 'type Duplex = unknown')
}

function compile(stage: string): void {
  // Dependencies are found where this checkout has them.
  const modules = join(stage, 'node_modules')
  mkdirSync(modules)
  for (const name of ['@bufbuild', '@types']) {
    cpSync(join(ROOT, 'node_modules', name), join(modules, name), { recursive: true })
  }
  execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', stage], { stdio: ['ignore', 'inherit', 'inherit'] })
  rmSync(modules, { recursive: true })
  // Declarations keep the names of the sources.
  for (const name of globSync('dist/**/*.d.ts', { cwd: stage })) {
    const text = readFileSync(join(stage, name), 'utf8')
    writeFileSync(join(stage, name), text.replaceAll(/((?:from|import)\s*\(?\s*['"]\.[^'"]*)\.ts(['"])/g, '$1.js$2'))
  }
}

function publishedManifest(): object {
  const { version, license, dependencies } = manifest()
  return {
    name: '@cove/sdk',
    version,
    description: 'Client for Cove: isolated computers for AI agents',
    license,
    type: 'module',
    engines: { node: '>=22' },
    sideEffects: false,
    files: ['dist'],
    exports: { '.': { types: './dist/sdk/index.d.ts', default: './dist/sdk/index.js' } },
    imports: importsMap('./dist/sdk', '.js'),
    dependencies: Object.fromEntries(Object.entries(dependencies).filter(([name]) => !name.startsWith('@cove/'))),
  }
}

function manifest(): Manifest {
  return JSON.parse(readFileSync(join(ROOT, 'packages/sdk/package.json'), 'utf8')) as Manifest
}

/** `./src/platform/node.ts` becomes `<folder>/platform/node.<extension>`. */
function importsMap(folder: string, extension: '.ts' | '.js'): object {
  const move = (path: string) => path.replace('./src', folder).replace(/\.ts$/, extension)
  return Object.fromEntries(
    Object.entries(manifest().imports).map(([name, targets]) => [
      name,
      Object.fromEntries(Object.entries(targets).map(([condition, path]) => [condition, move(path)])),
    ]),
  )
}

/** What is reached only by its runtime's condition, and must be compiled all the same. */
function platformFiles(): string[] {
  return Object.values(manifest().imports).flatMap((targets) =>
    Object.values(targets).map((path) => path.replace('./src/', '')),
  )
}

if (import.meta.main) {
  const out = process.argv[2] ?? join(ROOT, 'build')
  process.stdout.write(`${packSdk(out)}\n`)
}
