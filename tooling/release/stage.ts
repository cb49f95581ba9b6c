import { createHash } from 'node:crypto'
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { bundle } from './bundle.ts'
import { bundledDependencies } from './dependencies.ts'
import { nativeParts } from './native-parts.ts'
import { notices } from './notices.ts'
import { sbom } from './sbom.ts'

/** Not registered anywhere before the first publish, which reserves it. */
export const PACKAGE_NAME = 'cove-sandboxes'

export interface StageOptions {
  readonly root: string
  /** An empty folder, which becomes the package. */
  readonly folder: string
  /** Our own programs: machine as Node names it and name (`linux-x64/cove-guest`), to where each was built. */
  readonly programs: ReadonlyMap<string, string>
  /** What built them; without it the package is for tests only and names no native parts. */
  readonly toolchain?: string
}

/** Lays out the package as it is published. */
export async function stage({ root, folder, programs, toolchain }: StageOptions): Promise<void> {
  const write = (name: string, content: string | Uint8Array, mode = 0o644) => {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
    chmodSync(path, mode)
  }
  const { files, inputs } = await bundle(root)
  for (const [name, content] of files) write(join('dist', name), content)
  write('bin/cove.mjs', starter(root), 0o755)

  const sums = new Map<string, string>()
  for (const [name, program] of programs) {
    const content = readFileSync(program)
    write(`guest/${name}`, content, 0o755)
    sums.set(name, createHash('sha256').update(content).digest('hex'))
  }
  write('guest/SHA256SUMS', [...sums].map(([name, sum]) => `${sum}  ${name}\n`).join(''))

  const { version } = JSON.parse(readFileSync(join(root, 'packages/cli/package.json'), 'utf8')) as { version: string }
  const dependencies = bundledDependencies(root, inputs)
  const native = toolchain === undefined ? [] : nativeParts(toolchain)
  write('THIRD-PARTY-NOTICES.txt', notices(dependencies, native, toolchain ?? ''))
  write('SBOM.cdx.json', sbom({ name: PACKAGE_NAME, version, dependencies, native, programs: sums }))
  write('package.json', `${JSON.stringify(manifest(version), null, 2)}\n`)
  write('README.md', readFileSync(join(root, 'tooling/release/package-readme.md')))
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
}

/** The command of a checkout, which loads the bundle in place of the source. */
function starter(root: string): string {
  const source = readFileSync(join(root, 'packages/cli/bin/cove.mjs'), 'utf8')
  const parts = source.split("'../src/start.ts'")
  if (parts.length !== 2) throw new Error('packages/cli/bin/cove.mjs does not load src/start.ts once')
  return parts.join("'../dist/start.js'")
}

const manifest = (version: string) => ({
  name: PACKAGE_NAME,
  version,
  description: 'Computers for AI agents: isolated, on any machine, behind one API',
  keywords: ['sandbox', 'agent', 'ai', 'mcp', 'isolation', 'bubblewrap'],
  license: 'Apache-2.0',
  type: 'module',
  bin: { cove: 'bin/cove.mjs' },
  exports: { './package.json': './package.json' },
  engines: { node: '>=22.18' },
  files: ['bin', 'dist', 'guest', 'SBOM.cdx.json', 'THIRD-PARTY-NOTICES.txt'],
  publishConfig: { access: 'public', provenance: true },
})
