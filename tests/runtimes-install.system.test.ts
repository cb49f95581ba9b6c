import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newProcessId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { missingOnHost } from './support/host-tools.ts'
import { openRuntimeHouse, SCOPE, type RuntimeHouse } from './support/runtime-house.ts'

const PORT = 8800
const REGISTRY = readFileSync(join(import.meta.dirname, 'support/registry.py'))
const WITH_REGISTRY = {
  PIP_INDEX_URL: `http://127.0.0.1:${PORT}/simple`,
  NPM_CONFIG_REGISTRY: `http://127.0.0.1:${PORT}/npm/`,
}

const missing = missingOnHost(['python3 -m pip --version', 'node --version', 'npm --version'])
if (missing !== undefined) console.log(`installing packages is not tested: ${missing}`)

describe.skipIf(missing !== undefined)('packages', () => {
  let house: RuntimeHouse
  let sandbox: string

  beforeAll(async () => {
    house = await openRuntimeHouse()
    sandbox = await house.create({ env: WITH_REGISTRY })
    await startRegistry()
  })
  afterAll(() => house[Symbol.asyncDispose]())

  /** A real registry inside the sandbox, on its loopback: network `none` is enough to reach it. */
  async function startRegistry(): Promise<void> {
    using lease = await house.sandboxes.guest(SCOPE, sandbox)
    const { guest } = lease
    await guest.writeFile('/home/user/registry.py', Readable.from([REGISTRY]))
    const argv = ['python3', '/home/user/registry.py', `${PORT}`]
    const { events } = await guest.start({ id: newProcessId(systemRandom), argv, env: {}, stdin: true })
    let said = ''
    for await (const event of events) {
      if (event.type === 'output') said += Buffer.from(event.data).toString('utf8')
      if (said.includes('ready')) return
    }
    throw new Error(`the registry ended: ${said}`)
  }

  const run = (runtime: 'python' | 'node' | 'shell', code: string) => house.run(sandbox, { runtime, code })
  const install = (runtime: 'python' | 'node' | 'shell', ...packages: readonly string[]) =>
    house.install(sandbox, { runtime, packages })

  it('of Python are there for later runs, with their extras, dependencies and programs', async () => {
    expect((await run('python', 'import greet')).stderr).toContain("No module named 'greet'")
    const { status, stdout, stderr } = await install('python', 'greet[loud]>=1,<3; python_version >= "3.6"')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('Successfully installed greet-2.0 shout-0.1 words-1.5')
    const use = 'import greet, words, shout\nprint(greet.VERSION, words.WORDS, shout.shout("x"))'
    expect((await run('python', use)).stdout).toBe("2.0 ['hello'] X\n")
    expect((await run('shell', 'greet && python3 -c "import greet; print(greet.VERSION)"')).stdout).toBe(
      'hello from the program\n2.0\n',
    )
  })

  it('of the template stay in view beside them', async () => {
    expect((await run('python', 'import pip, sys; print(pip.__file__, sys.prefix)')).stdout).toMatch(
      /^\/usr\/\S+ \/home\/user\/\.cove\/python\n$/,
    )
  })

  it('change their version, and a wish that cannot be met is told by the manager', async () => {
    expect((await install('python', 'greet==1.0')).status).toBe(0)
    expect((await run('python', 'import greet; print(greet.VERSION)')).stdout).toBe('1.0\n')
    const tooMuch = await install('python', 'greet>=7')
    expect(tooMuch.status).toBe(1)
    expect(tooMuch.stderr).toContain('No matching distribution found for greet>=7')
    const unknown = await install('node', '@acme/nothing')
    expect(unknown.status).toBe(1)
    expect(unknown.stderr).toContain('404')
  })

  it('of node are there for `require` and for `import`, scoped ones too, with their programs', async () => {
    expect((await run('node', 'require("@acme/tools")')).stderr).toContain("Cannot find module '@acme/tools'")
    expect(await install('node', '@acme/tools@^1.0.0')).toMatchObject({ status: 0, stderr: '' })
    expect((await run('node', 'import { tool } from "@acme/tools"\nconsole.log(tool)')).stdout).toBe('tool with do\n')
    expect((await run('node', 'import("@acme/tools").then(({ tool }) => console.log(tool))')).stdout).toBe(
      'tool with do\n',
    )
    expect((await run('node', 'console.log(require("quiet-note").note)')).stdout).toBe('do\n')
    expect((await run('shell', 'acme-tool')).stdout).toBe('the tool runs\n')
    // A second installation keeps the first.
    expect((await install('node', 'quiet-note@1.1.0')).status).toBe(0)
    expect((await run('node', 'import { tool } from "@acme/tools"\nconsole.log(tool)')).stdout).toBe('tool with do\n')
  })

  it('are there for programs of the sandbox that are started otherwise', async () => {
    await run('shell', 'mkdir -p app && echo \'import { tool } from "@acme/tools"; console.log(tool)\' >app/main.mjs')
    expect((await run('shell', 'node app/main.mjs')).stdout).toBe('tool with do\n')
    using lease = await house.sandboxes.guest(SCOPE, sandbox)
    const { signal } = new AbortController()
    const env = await house.runtimes.environment(lease, signal)
    const argv = ['sh', '-c', 'python3 -c "import greet; print(greet.VERSION)" && acme-tool']
    const { events } = await lease.guest.start({ id: newProcessId(systemRandom), argv, env }, signal)
    let said = ''
    for await (const event of events) if (event.type === 'output') said += Buffer.from(event.data).toString('utf8')
    expect(said).toBe('1.0\nthe tool runs\n')
  })

  it('are still there after a stop and a start', async () => {
    await house.sandboxes.stop(SCOPE, sandbox, 1_000)
    await house.sandboxes.start(SCOPE, sandbox)
    expect((await run('python', 'import greet; print(greet.VERSION)')).stdout).toBe('1.0\n')
    expect((await run('node', 'console.log(require("quiet-note").note)')).stdout).toBe('do\n')
    await startRegistry()
  })

  it('whose names are none are refused before anything runs', async () => {
    const wrong = [
      'x; touch /tmp/hit',
      '$(touch /tmp/hit)',
      '`touch /tmp/hit`',
      'a|b',
      'a&&b',
      "a'b",
      '--target=/',
      '-e.',
    ]
    for (const runtime of ['python', 'node', 'shell'] as const) {
      for (const name of [...wrong, '../x', 'https://evil/x.whl', 'git+ssh://x', 'x\ny', '']) {
        await expect(install(runtime, 'greet', name)).rejects.toMatchObject({
          code: 'invalid-argument',
          context: { field: 'packages', package: name },
        })
      }
    }
    expect((await run('shell', 'ls /tmp')).stdout).not.toContain('hit')
    const many = Array.from({ length: 101 }, (_, index) => `p${index}`)
    await expect(install('python', ...many)).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(await install('python')).toMatchObject({ status: 0, stdout: '' })
  })

  it('are installed one call after the other, each within its own time', async () => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
    const slow = house.install(sandbox, {
      runtime: 'python',
      packages: ['slow-poke'],
      timeoutMs: 5_000,
      onOutput: () => ask(),
    })
    await asked
    await expect(
      house.install(sandbox, { runtime: 'node', packages: ['quiet-note'], timeoutMs: 20 }),
    ).rejects.toMatchObject({ code: 'deadline-exceeded', message: expect.stringContaining('another one') })
    const waiting = install('python', 'words')
    const { result } = await slow
    expect(result.timedOut).toBe(true)
    expect((await waiting).status).toBe(0)
  })

  it('are not installed any further when the caller goes away', async () => {
    const caller = new AbortController()
    const request = { runtime: 'python', packages: ['slow-poke'], timeoutMs: 60_000, maxOutputBytes: 1_000 } as const
    const onOutput = () => caller.abort()
    await expect(house.runtimes.install(SCOPE, sandbox, { ...request, onOutput }, caller.signal)).rejects.toMatchObject(
      { code: 'cancelled' },
    )
    const { stdout } = await run('shell', 'cat /proc/[0-9]*/cmdline | tr "\\0" " " | grep -c "slow[-]poke"')
    expect(stdout).toBe('0\n')
    expect((await install('python', 'words')).status).toBe(0)
  })

  it('see those of the virtual environment that is configured, and go beside them', async () => {
    await run(
      'shell',
      'python3 -m venv --without-pip base && cd base/lib/python3*/site-packages && echo >of_the_base.py && rm -rf ~/.cove/python',
    )
    const runtimes = house.runtimesWith({ python: { run: '/home/user/base/bin/python' } })
    const limits = { timeoutMs: 60_000, maxOutputBytes: 10_000 }
    const { signal } = new AbortController()
    const code = 'import importlib.util as u\nprint(*[bool(u.find_spec(name)) for name in ("of_the_base", "greet")])'
    const seen = async () => {
      const { stdout } = await runtimes.run(SCOPE, sandbox, { ...limits, runtime: 'python', code }, signal)
      return Buffer.from(stdout.bytes).toString()
    }
    expect(await seen()).toBe('True False\n')
    const request = { ...limits, runtime: 'python', packages: ['greet'] } as const
    expect((await runtimes.install(SCOPE, sandbox, request, signal)).exit).toEqual({ kind: 'exited', code: 0 })
    expect(await seen()).toBe('True True\n')
  })

  it('are installed by the configured command as it is', async () => {
    const runtimes = house.runtimesWith({ shell: { install: ['/bin/echo', 'would', 'add'] } })
    const request = { runtime: 'shell', packages: ['curl', 'g++'], timeoutMs: 5_000, maxOutputBytes: 100 } as const
    const { stdout } = await runtimes.install(SCOPE, sandbox, request, new AbortController().signal)
    expect(Buffer.from(stdout.bytes).toString()).toBe('would add curl g++\n')
  })

  it('cannot come into a sandbox without a network, and the way out is told', async () => {
    const offline = await house.create()
    for (const runtime of ['python', 'node'] as const) {
      await expect(house.install(offline, { runtime, packages: ['greet'], maxOutputBytes: 0 })).rejects.toMatchObject({
        code: 'network-unavailable',
        message: expect.stringContaining('has no network'),
        fix: expect.stringContaining('`internet`'),
      })
    }
  })

  it('of the system cannot be added to the host', async () => {
    await expect(install('shell', 'curl')).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining("the host's own programs"),
    })
  })

  it('cannot be installed where the manager is missing', async () => {
    const empty = await house.create({ env: { PATH: '/nothing/here' } })
    await expect(house.install(empty, { runtime: 'python', packages: ['greet'] })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('has no Python'),
    })
    await expect(house.install(empty, { runtime: 'node', packages: ['greet'] })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('has no npm'),
      fix: expect.stringContaining('npm'),
    })
  })
})
