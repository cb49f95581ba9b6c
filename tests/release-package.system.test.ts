import { execFile } from 'node:child_process'
import {
  appendFileSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packForThisMachine } from '../tooling/release/pack.ts'

const run = promisify(execFile)
/** The oldest Node that the package promises to work with. */
const OLDEST_NODE = '22'
/** Any that is nobody's on this machine. */
const ORDINARY_USER = 54_321

interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** A folder that a user has just made, and the commands that he types there. */
class Project {
  readonly folder: string
  readonly #bin: string
  readonly #uid: number | undefined

  constructor(base: string, name: string, node: string, uid?: number) {
    this.folder = join(base, name)
    this.#bin = join(base, `${name}-bin`)
    this.#uid = uid
    for (const folder of [this.folder, this.#bin]) {
      mkdirSync(folder)
      if (uid !== undefined) chownSync(folder, uid, uid)
    }
    // Whatever else this machine has, a compiler above all, is not found.
    const programs = ['npm', 'npx', 'sh', 'bwrap'].map((program) => [program, onPath(program)] as const)
    for (const [program, target] of [...programs, ['node', node] as const]) {
      if (target !== undefined) symlinkSync(target, join(this.#bin, program))
    }
  }

  async type(program: string, ...args: readonly string[]): Promise<Ended> {
    const env = {
      // One driver, whatever else this machine has.
      COVE_DRIVERS: 'bubblewrap',
      PATH: this.#bin,
      HOME: this.folder,
      COVE_DATA_DIR: join(this.folder, 'data'),
      npm_config_update_notifier: 'false',
    }
    const user = this.#uid === undefined ? {} : { uid: this.#uid, gid: this.#uid }
    try {
      const { stdout, stderr } = await run(program, args, { cwd: this.folder, env, ...user })
      return { status: 0, stdout, stderr }
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
      return { status: code, stdout, stderr }
    }
  }

  install(tarball: string): Promise<Ended> {
    return this.type('npm', 'install', '--offline', '--no-audit', '--no-fund', tarball)
  }

  cove(...args: readonly string[]): Promise<Ended> {
    return this.type(join(this.folder, 'node_modules/.bin/cove'), ...args)
  }

  /** What an agent that speaks MCP says first, and the answer. */
  async initialize(url: string): Promise<string> {
    const response = await fetch(`${url}/mcp`, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${readFileSync(join(this.folder, 'data/api-key'), 'utf8').trim()}`,
        'Content-Type': 'application/json',
        Accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
      }),
    })
    return response.text()
  }

  /** Nothing to do where `cove down` has worked. */
  endDaemon(): void {
    try {
      const record = readFileSync(join(this.folder, 'data/daemon.json'), 'utf8')
      process.kill((JSON.parse(record) as { pid: number }).pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
}

function onPath(program: string): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    // Those of the checkout are links into it, and npm's own are links too.
    if (folder.includes('node_modules')) continue
    try {
      return realpathSync(join(folder, program))
    } catch {
      // Not in this folder.
    }
  }
  return undefined
}

describe('the released package, installed into an empty folder', () => {
  let base: string
  let tarball: string
  let oldest: string

  beforeAll(async () => {
    base = mkdtempSync(join(tmpdir(), 'cove-test-release-'))
    // An ordinary user has to reach his folder in it.
    await run('chmod', ['755', base])
    tarball = process.env['RELEASE_TARBALL'] ?? (await packForThisMachine(base))
    const nodes = join(base, 'nodes')
    mkdirSync(nodes)
    const wanted = `node-linux-${process.arch}@${OLDEST_NODE}`
    await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', wanted], { cwd: nodes })
    oldest = join(nodes, `node_modules/node-linux-${process.arch}/bin/node`)
  }, 240_000)
  afterAll(() => rmSync(base, { recursive: true, force: true }))

  it.each([
    ['the oldest Node', () => oldest, undefined],
    ['this Node', () => process.execPath, undefined],
    ['this Node, as an ordinary user', () => process.execPath, ORDINARY_USER],
  ] as const)(
    'runs sandboxes with %s and bubblewrap, and needs nothing else',
    async (name, node, uid) => {
      const project = new Project(base, name.replaceAll(/\W+/g, '-'), node(), uid)
      const installed = await project.install(tarball)
      expect(installed).toMatchObject({ status: 0, stderr: '' })
      const modules = readdirSync(join(project.folder, 'node_modules')).filter((entry) => !entry.startsWith('.'))
      expect(modules).toEqual(['cove-sandboxes'])

      const up = await project.type('npx', 'cove', 'up', '--detach', '--no-install', '--listen', '127.0.0.1:0')
      try {
        expect(up).toMatchObject({ status: 0, stdout: expect.stringContaining('is ready in') })
        // What is missing for more than the start is said, and nothing else.
        expect(up.stderr.replaceAll(/^note: .*\n/gm, '')).toBe('')
        expect(up.stdout).toMatch(/bubblewrap +namespace +proven/)
        expect(up.stdout).toContain("npx cove run python -c 'print(6*7)'")
        const answer = await project.cove('run', 'python', '-c', 'print(6*7)')
        expect(answer).toEqual({ status: 0, stdout: '42\n', stderr: '' })
        const mcp = await project.cove('mcp', '--help')
        expect(mcp).toMatchObject({ status: 0, stderr: '', stdout: expect.stringContaining('Usage: cove mcp') })
        // Parts that are loaded when somebody asks for them are in the package too.
        const url = /API +(http:\S+)/.exec(up.stdout)?.[1] ?? ''
        const [openapi, agent] = await Promise.all([fetch(`${url}/openapi.json`), project.initialize(url)])
        expect(await openapi.json()).toMatchObject({ openapi: expect.stringMatching(/^3\./) })
        expect(agent).toContain('"serverInfo":{"name":"cove"')
      } finally {
        const down = await project.cove('down', '--all')
        project.endDaemon()
        expect(down).toMatchObject({ status: 0, stderr: '' })
      }
    },
    120_000,
  )

  it('says what is wrong when a file of it was damaged', async () => {
    const project = new Project(base, 'damaged', process.execPath)
    await project.install(tarball)
    const program = `node_modules/cove-sandboxes/guest/linux-${process.arch}/cove-guest`
    appendFileSync(join(project.folder, program), 'x')
    const up = await project.cove('up', '--no-install', '--listen', '127.0.0.1:0')
    expect(up.status).not.toBe(0)
    expect(up.stderr).toMatch(/^error: .*cove-guest is damaged: .*\nfix: Install the package again/)
  })

  it('loads for a small command only what that command needs', async () => {
    const project = new Project(base, 'lazy', process.execPath)
    await project.install(tarball)
    const folder = join(project.folder, 'node_modules/cove-sandboxes/dist')
    const reached = new Set<string>()
    const visit = (name: string): void => {
      if (reached.has(name)) return
      reached.add(name)
      // Static imports only: `import{a}from"./x.js"` and `import"./x.js"`.
      const text = readFileSync(join(folder, name), 'utf8')
      const imports = text.matchAll(/\b(?:import|export)\b(?:[\w*$\s{},]*\bfrom\b)?\s*"\.\/([^"]+)"/g)
      for (const [, target = ''] of imports) visit(target)
    }
    visit('start.js')
    const bytes = [...reached].reduce((sum, name) => sum + readFileSync(join(folder, name)).length, 0)
    expect(reached.size).toBeGreaterThan(1)
    expect(bytes).toBeLessThan(400_000)
    expect(readdirSync(folder).length).toBeGreaterThan(reached.size + 20)
  })
})
