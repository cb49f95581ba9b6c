import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { packSdk } from '../tooling/pack-sdk.ts'
import { ChaosLine, seeded } from './support/chaos-line.ts'
import { TestDaemon } from './support/daemon.ts'

const ROOT = join(import.meta.dirname, '..')
/** The oldest Node that the package promises to work with. */
const OLDEST_NODE = '22'
/** Packages that are a binary and nothing else, in a folder of their own. */
const RUNTIMES = join(ROOT, 'tooling/sdk-runtimes/node_modules')
const OTHER_RUNTIMES = [
  { name: 'Bun', program: join(RUNTIMES, '@oven/bun-linux-x64/bin/bun'), args: ['run', '--no-install'] },
  { name: 'Deno', program: join(RUNTIMES, '@deno/linux-x64-glibc/deno'), args: ['run', '--allow-all', '--quiet'] },
] as const
/** Reads numbers to their end over a line that breaks, and says up to where they came in order. */
const CUT = `
import { Cove } from '@cove/sdk'
const cove = new Cove({ retry: { baseMs: 1 }, reconnect: { baseMs: 1 } })
const sandbox = await cove.sandboxes.create()
const process = await sandbox.start(['seq', '40000'])
let text = ''
for await (const data of process.stdout) text += new TextDecoder().decode(data)
const lines = text.trim().split('\\n')
const wrong = lines.findIndex((line, at) => line !== String(at + 1))
console.log(wrong < 0 ? lines.length : 'wrong at ' + wrong, JSON.stringify((await process.wait()).exit))
await sandbox.delete()
`
const run = promisify(execFile)

interface Example {
  readonly title: string
  readonly code: string
  /** What it prints, where the page says so. */
  readonly output: string | undefined
}

/** Every `ts` block of the page, with the `text` block right behind it. */
function examples(): Example[] {
  const page = readFileSync(join(ROOT, 'docs/sdk.md'), 'utf8')
  return [...page.matchAll(/^```ts\n(.*?)^```\n(?:```text\n(.*?)^```\n)?/gms)].map((match) => {
    const heading =
      page
        .slice(0, match.index)
        .match(/^#+ .*$/gm)
        ?.at(-1) ?? ''
    const line = page.slice(0, match.index).split('\n').length
    return { title: `${heading.replace(/^#+ /, '')} (line ${line})`, code: match[1] ?? '', output: match[2] }
  })
}

describe('the package @cove/sdk, installed into an empty project', () => {
  let daemon: TestDaemon
  let project: string
  let nodes: Readonly<Record<string, string>>
  const all = examples()

  beforeAll(async () => {
    project = mkdtempSync(join(tmpdir(), 'cove-test-package-'))
    writeFileSync(join(project, 'package.json'), '{"private":true,"type":"module"}')
    const tarball = packSdk(project)
    const oldest = `node-linux-${process.arch}@${OLDEST_NODE}`
    await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball, oldest], { cwd: project })
    nodes = {
      [OLDEST_NODE]: join(project, `node_modules/node-linux-${process.arch}/bin/node`),
      current: process.execPath,
    }
    mkdirSync(join(project, 'src'))
    all.forEach(({ code }, index) => writeFileSync(join(project, 'src', `example${index}.ts`), code))
    writeFileSync(join(project, 'cut.mjs'), CUT)
    daemon = await TestDaemon.start()
  }, 240_000)
  afterAll(async () => {
    rmSync(project, { recursive: true, force: true })
    await daemon[Symbol.asyncDispose]()
  })

  afterEach(() => takeLeftovers())

  it('brings one dependency, and nothing of the workspace', () => {
    const installed = readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.'))
    expect(installed.filter((name) => !name.startsWith('node-'))).toEqual(['@bufbuild', '@cove'])
    expect(readdirSync(join(project, 'node_modules/@cove'))).toEqual(['sdk'])
    expect(readdirSync(join(project, 'node_modules/@bufbuild'))).toEqual(['protobuf'])
  })

  it('has types that hold in a strict project, for every example of its page', async () => {
    cpSync(join(ROOT, 'node_modules/@types'), join(project, 'node_modules/@types'), { recursive: true })
    cpSync(join(ROOT, 'node_modules/undici-types'), join(project, 'node_modules/undici-types'), { recursive: true })
    const compilerOptions = {
      target: 'es2022',
      lib: ['es2023', 'esnext.disposable'],
      module: 'nodenext',
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      rootDir: 'src',
      outDir: 'out',
    }
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }))
    const { stdout } = await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', project]).catch(
      (error: { stdout: string }) => error,
    )
    expect(stdout).toBe('')
  })

  it("needs none of Node's types and modules in a browser", async () => {
    writeFileSync(
      join(project, 'page.ts'),
      `import { Cove } from '@cove/sdk'
       const cove = new Cove({ url: location.origin, apiKey: 'key' })
       export const result = await (await cove.sandboxes.create()).run('python', 'print(1)')`,
    )
    const compilerOptions = {
      target: 'es2022',
      lib: ['es2023', 'esnext.disposable', 'dom', 'dom.iterable'],
      module: 'esnext',
      moduleResolution: 'bundler',
      types: [],
      strict: true,
      skipLibCheck: false,
      noEmit: true,
    }
    writeFileSync(join(project, 'tsconfig.page.json'), JSON.stringify({ compilerOptions, files: ['page.ts'] }))
    const { stdout } = await run(join(ROOT, 'node_modules/.bin/tsc'), [
      '-p',
      join(project, 'tsconfig.page.json'),
    ]).catch((error: { stdout: string }) => error)
    expect(stdout).toBe('')
  })

  describe.each([OLDEST_NODE, 'current'])('on Node %s', (node) => {
    it.each(numbered(all))('does what its page says: %s', async (_title, index, { output }) => {
      const { stdout, stderr } = await run(nodes[node] ?? '', [`out/example${index}.js`], options())
      expect(stderr).toBe('')
      expect(stdout).toBe(output ?? stdout)
      expect(await takeLeftovers()).toEqual([])
    })
  })

  const everywhere = [
    { name: `Node ${OLDEST_NODE}`, program: () => nodes[OLDEST_NODE] ?? '', args: [] },
    { name: 'this Node', program: () => process.execPath, args: [] },
    ...OTHER_RUNTIMES.map(({ name, program, args }) => ({ name, program: () => program, args })),
  ]
  it.for(everywhere)(
    'goes on over a line that is cut again and again, on $name',
    async ({ program, args }, { skip }) => {
      skip(!existsSync(program()), 'not installed; tooling/ci/sdk-runtimes.sh does it')
      await using line = await ChaosLine.open(() => daemon.url)
      const random = seeded(1)
      line.begin(() => ({ direction: 'answer', bytes: 500 + Math.floor(random() * 60_000), reset: random() < 0.5 }))
      const { env, ...rest } = options()
      const { stdout } = await run(program(), [...args, 'cut.mjs'], { ...rest, env: { ...env, COVE_URL: line.url } })
      expect(stdout.trim()).toBe(`40000 ${JSON.stringify({ kind: 'exited', code: 0 })}`)
      expect(line.connections).toBeGreaterThan(4)
    },
  )

  describe.each(OTHER_RUNTIMES)('on $name', ({ program, args }) => {
    const reason = existsSync(program) ? '' : ' (skipped: not installed; tooling/ci/sdk-runtimes.sh does it)'
    it.skipIf(reason !== '').each(numbered(all))(
      `does what its page says: %s${reason}`,
      async (_title, index, { output }) => {
        const { stdout } = await run(program, [...args, `out/example${index}.js`], options())
        expect(plain(stdout)).toBe(plain(output ?? stdout))
        expect(await takeLeftovers()).toEqual([])
      },
    )
  })

  /** Ids of sandboxes that an example has left behind; they go, so that the next one is judged by itself. */
  async function takeLeftovers(): Promise<string[]> {
    const { sandboxes } = daemon.client()
    const ids = (await sandboxes.list().all()).map(({ id }) => id)
    for (const id of ids) await sandboxes.delete(id)
    return ids
  }

  function options() {
    const env = {
      PATH: process.env['PATH'],
      COVE_URL: daemon.url,
      COVE_API_KEY: daemon.apiKey,
      DENO_DIR: join(project, 'deno'),
      DENO_NO_UPDATE_CHECK: '1',
      HOME: project,
    }
    return { cwd: project, env, timeout: 60_000 }
  }
})

/** Runtimes show the same values with other quotes, blanks and line breaks. */
function plain(text: string): string {
  return text.replaceAll(/["'\s,]/g, '')
}

function numbered(list: readonly Example[]): [string, number, Example][] {
  return list.map((example, index) => [example.title, index, example])
}
