import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { examine } from './examine.ts'
import { stage } from './stage.ts'

const ROOT = join(import.meta.dirname, '../..')

interface Bom {
  readonly serialNumber: string
  readonly components: readonly { readonly 'bom-ref': string; readonly name: string; readonly version: string }[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

describe('the package, before it is packed', () => {
  let base: string
  let folder: string
  let program: string

  beforeAll(async () => {
    base = mkdtempSync(join(tmpdir(), 'cove-test-examine-'))
    program = join(base, 'guest')
    writeFileSync(program, 'a guest program')
    const programs = new Map(
      ['linux-arm64', 'linux-x64'].flatMap((machine) =>
        ['guest', 'layers', 'boot'].map((name) => [`${machine}/cove-${name}`, program] as const),
      ),
    )
    await stage({ root: ROOT, folder: join(base, 'good'), programs })
    await stage({ root: ROOT, folder: join(base, 'again'), programs })
    // Two whole packages are built here, on whatever machine this is.
  }, 120_000)
  beforeEach(() => {
    folder = join(base, 'package')
    rmSync(folder, { recursive: true, force: true })
    cpSync(join(base, 'good'), folder, { recursive: true })
  })
  afterAll(() => rmSync(base, { recursive: true, force: true }))

  const put = (name: string, content: string) => {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  const change = (name: string, from: string, to: string) => {
    const before = readFileSync(join(folder, name), 'utf8')
    expect(before).toContain(from)
    put(name, before.replace(from, to))
  }

  it('is in order', () => {
    expect(examine(folder, ROOT)).toEqual([])
  })

  it.each([
    ['dist/start.js.map', '{}', 'does not belong'],
    ['dist/up.test.js', '', 'does not belong'],
    ['guest/linux-riscv64/cove-guest', '', 'does not belong'],
    ['.npmrc', 'registry=https://example.org/', 'does not belong'],
    ['dist/extra-ABCDEFGH.js', `// ${ROOT}/packages`, 'names the folder it was built in'],
    ['dist/extra-ABCDEFGH.js', 'import "./gone-ABCDEFGH.js";', 'imports ./gone-ABCDEFGH.js, which is not there'],
    ['dist/extra-ABCDEFGH.js', '//# sourceMappingURL=x', 'names a source map'],
    ['THIRD-PARTY-NOTICES.txt', 'https://registry.npmjs.org/x', 'names the registry'],
  ])('may not have %s with %j', (name, content, problem) => {
    put(name, content)
    expect(examine(folder, ROOT).join('\n')).toContain(`${name} ${problem}`)
  })

  it.each(['dist/worker.js', 'LICENSE', 'guest/SHA256SUMS', 'SBOM.cdx.json'])('may not lack %s', (name) => {
    rmSync(join(folder, name))
    expect(examine(folder, ROOT)).toContain(`${name} is missing`)
  })

  it.each(['scripts', 'dependencies', 'optionalDependencies'])('may not have %s in its manifest', (field) => {
    change('package.json', '"type"', `"${field}": {}, "type"`)
    expect(examine(folder, ROOT)).toEqual([`package.json has ${field}`])
  })

  it('may not have programs that cannot be run', () => {
    chmodSync(join(folder, 'bin/cove.mjs'), 0o644)
    expect(examine(folder, ROOT)).toEqual(['bin/cove.mjs has the mode 644'])
  })

  it('comes out the same every time', () => {
    for (const name of ['SBOM.cdx.json', 'THIRD-PARTY-NOTICES.txt', 'dist/start.js', 'package.json']) {
      expect(readFileSync(join(base, 'again', name), 'utf8')).toBe(readFileSync(join(folder, name), 'utf8'))
    }
  })

  it('lists what it contains, as the lockfile has it, and only that', () => {
    const bom = JSON.parse(readFileSync(join(folder, 'SBOM.cdx.json'), 'utf8')) as Bom
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { version: string; dev?: boolean }>
    }
    const libraries = bom.components.filter(({ name }) => !name.startsWith('cove-'))
    for (const { name, version } of libraries) {
      const locked = lock.packages[`node_modules/${name}`]
      expect(locked).toMatchObject({ version })
      expect(locked?.dev).toBeUndefined()
    }
    const names = libraries.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(['@bufbuild/protobuf', 'commander', 'pino', 'zod']))
    for (const tool of ['esbuild', 'vitest', 'typescript']) expect(names).not.toContain(tool)
    const references = new Set(bom.components.map((component) => component['bom-ref']))
    for (const { dependsOn } of bom.dependencies) for (const ref of dependsOn) expect(references).toContain(ref)
    expect(bom.serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  it('hands on the licence of everything that it contains', () => {
    const notices = readFileSync(join(folder, 'THIRD-PARTY-NOTICES.txt'), 'utf8')
    const { components } = JSON.parse(readFileSync(join(folder, 'SBOM.cdx.json'), 'utf8')) as Bom
    const libraries = components.filter(({ name }) => !name.startsWith('cove-'))
    expect(libraries.filter(({ name, version }) => !notices.includes(`${name} ${version} (`))).toEqual([])
  })
})
