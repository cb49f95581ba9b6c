import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { missingOnHost } from './support/host-tools.ts'
import { openRuntimeHouse, SCOPE, type RuntimeHouse } from './support/runtime-house.ts'

let house: RuntimeHouse
let sandbox: string

const missing = missingOnHost(['python3 --version', 'node --version', 'bash --version'])
if (missing !== undefined) console.log(`running code is not tested: ${missing}`)

const python = (code: string) => house.run(sandbox, { runtime: 'python', code })
const node = (code: string) => house.run(sandbox, { runtime: 'node', code })
const shell = (code: string) => house.run(sandbox, { runtime: 'shell', code })

async function write(path: string, text: string, mode = 0o644): Promise<void> {
  using lease = await house.sandboxes.guest(SCOPE, sandbox)
  await lease.guest.writeFile(path, Readable.from([Buffer.from(text)]), { mode })
}

/** Names of code files that have not been removed. */
async function codeFiles(): Promise<readonly string[]> {
  using lease = await house.sandboxes.guest(SCOPE, sandbox)
  const names: string[] = []
  for await (const { name } of lease.guest.list('/home/user/.cove/run')) names.push(name)
  return names.filter((name) => name !== 'node_modules' && name !== 'package.json')
}

/** Command lines in the sandbox, seen from outside of it, that have this word. */
async function running(word: string): Promise<number> {
  const { stdout } = await shell(
    `cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o ${word.replace(/^./, '[$&]')} | wc -l`,
  )
  return Number(stdout)
}

describe.skipIf(missing !== undefined)('code in a real sandbox', () => {
  beforeAll(async () => {
    house = await openRuntimeHouse()
    sandbox = await house.create()
  })
  afterAll(() => house[Symbol.asyncDispose]())

  it('runs in every runtime', async () => {
    expect(house.runtimes.names).toEqual(['python', 'node', 'shell'])
    expect(await python('print(1 + 1)')).toMatchObject({ stdout: '2\n', stderr: '', status: 0 })
    expect(await shell('echo "$(( 1 + 1 ))" "it\'s"; exit 7')).toMatchObject({ stdout: "2 it's\n", status: 7 })
    expect(await node('console.log(require("node:path").basename("/a/b"))')).toMatchObject({ stdout: 'b\n', status: 0 })
    expect(await node('import { basename } from "node:path"\nconsole.log(await basename("/a/b"))')).toMatchObject({
      stdout: 'b\n',
      status: 0,
    })
    expect(await node('const text = `\nimport x from "y"`\nconsole.log(require("node:path").sep)')).toMatchObject({
      stdout: '/\n',
      stderr: '',
    })
    expect(await python('')).toMatchObject({ stdout: '', stderr: '', status: 0 })
  })

  it('that fails says where, with its own lines', async () => {
    const { stderr, status, result } = await python('def broken():\n    return 1 / 0\n\nbroken()')
    expect(status).toBe(1)
    expect(stderr).toMatch(/File "\/home\/user\/\.cove\/run\/\w+\.py", line 2, in broken\n {4}return 1 \/ 0/)
    expect(stderr).toContain('ZeroDivisionError')
    expect(result.timedOut).toBe(false)
    const thrown = await node('function broken() {\n  throw new Error("why")\n}\nbroken()')
    expect(thrown.stderr).toMatch(/\.cove\/run\/\w+\.js:2\n {2}throw new Error\("why"\)/)
    expect((await shell('kill -9 $$')).status).toBe('signal 9')
    expect(await codeFiles()).toEqual([])
  })

  it('has an empty input, its folder and its variables', async () => {
    expect((await python('try:\n    input()\nexcept EOFError:\n    print("no input")')).stdout).toBe('no input\n')
    expect((await shell('cat; echo over')).stdout).toBe('over\n')
    const here = await house.run(sandbox, {
      runtime: 'shell',
      code: 'pwd; echo "$COLOR"',
      cwd: '/tmp',
      env: { COLOR: 'blue $HOME `id`' },
    })
    expect(here.stdout).toBe('/tmp\nblue $HOME `id`\n')
    expect((await python('import os; print(os.getcwd())')).stdout).toBe('/home/user\n')
    const nowhere = house.run(sandbox, { runtime: 'shell', code: 'true', cwd: '/not/there' })
    await expect(nowhere).rejects.toMatchObject({
      code: 'file-not-found',
      message: expect.stringContaining('/not/there'),
    })
    const wrong = house.run(sandbox, { runtime: 'shell', code: 'true', env: { 'A=B': 'c' } })
    await expect(wrong).rejects.toMatchObject({ code: 'invalid-argument' })
  })

  it('finds modules where it starts', async () => {
    await write('/home/user/helper.py', 'WORD = "helped"')
    await write('/home/user/project/other.py', 'WORD = "projected"')
    expect((await python('import helper; print(helper.WORD)')).stdout).toBe('helped\n')
    const there = await house.run(sandbox, {
      runtime: 'python',
      code: 'import other, helper; print(other.WORD, helper.WORD)',
      cwd: '/home/user/project',
      env: { PYTHONPATH: '/home/user' },
    })
    expect(there.stdout).toBe('projected helped\n')
    await write('/home/user/node_modules/mine/index.js', 'exports.word = "by hand"')
    expect((await node('console.log(require("mine").word)')).stdout).toBe('by hand\n')
    expect((await node('import mine from "mine"\nconsole.log(mine.word)')).stdout).toBe('by hand\n')
  })

  it('may be as long as is promised, and no longer', async () => {
    const last = '\nprint(len(open(__file__).read()))'
    const longest = '#'.repeat(512_000 - last.length) + last
    expect((await python(longest)).stdout).toBe('512000\n')
    expect((await node(`/*${'é'.repeat(255_000)}*/console.log("long")`)).stdout).toBe('long\n')
    await expect(python(`${longest} `)).rejects.toMatchObject({ code: 'payload-too-large' })
    await expect(python('é'.repeat(256_001))).rejects.toMatchObject({ code: 'payload-too-large' })
    expect(await codeFiles()).toEqual([])
  })

  it('is ended at the timeout with all that it started, and what it printed is there', async () => {
    const code = `
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 4711"])
print("so far")
sys.stderr.write("and here")
signal.pause()
signal.pause()`
    const { stdout, stderr, result, status } = await house.run(sandbox, { runtime: 'python', code, timeoutMs: 300 })
    expect({ stdout, stderr, status }).toEqual({ stdout: 'so far\n', stderr: 'and here', status: 'signal 9' })
    expect(result.timedOut).toBe(true)
    expect(result.durationMs).toBeGreaterThan(290)
    expect(await running('4711')).toBe(0)
    expect(await codeFiles()).toEqual([])
  })

  it('is ended when the caller goes away', async () => {
    const caller = new AbortController()
    const request = { runtime: 'shell', timeoutMs: 60_000, maxOutputBytes: 100 } as const
    const code = `trap '' TERM; sleep 4712 & echo begun; sleep 4712`
    const onOutput = () => caller.abort()
    const gone = house.runtimes.run(SCOPE, sandbox, { ...request, code, onOutput }, caller.signal)
    await expect(gone).rejects.toMatchObject({ code: 'cancelled' })
    expect(await running('4712')).toBe(0)
    expect(await codeFiles()).toEqual([])
    const never = house.runtimes.run(SCOPE, sandbox, { ...request, code: 'echo x' }, AbortSignal.abort())
    await expect(never).rejects.toMatchObject({ code: 'cancelled' })
  })

  it('leaves nothing behind whenever the caller goes away', async () => {
    const request = { runtime: 'shell', code: 'sleep 4714', timeoutMs: 60_000, maxOutputBytes: 100 } as const
    const runs = Array.from({ length: 24 }, async (_, index) => {
      const caller = AbortSignal.timeout(index * 2)
      await expect(house.runtimes.run(SCOPE, sandbox, request, caller)).rejects.toMatchObject({
        code: 'deadline-exceeded',
      })
    })
    await Promise.all(runs)
    expect(await running('4714')).toBe(0)
    expect(await codeFiles()).toEqual([])
  })

  it.skipIf(process.getuid?.() !== 0)('that takes too much memory is told so', async () => {
    const small = await house.create({ limits: { memoryBytes: { value: 64 * 1024 * 1024, required: true } } })
    const { status, result } = await house.run(small, { runtime: 'python', code: 'print(1)\nb"a" * (1 << 30)' })
    expect({ status, timedOut: result.timedOut }).toEqual({ status: 'out-of-memory', timedOut: false })
    expect((await house.run(small, { runtime: 'python', code: 'print(2)' })).stdout).toBe('2\n')
  })

  it('may leave something running in the background', async () => {
    const { stdout, result } = await shell('sleep 4713 >/dev/null 2>&1 & echo $!')
    expect(stdout).toMatch(/^\d+\n$/)
    expect(result.timedOut).toBe(false)
    expect(await running('4713')).toBe(1)
    expect((await shell(`kill ${stdout}`)).status).toBe(0)
  })

  it('keeps head and tail of each stream, byte for byte', async () => {
    const heard = { stdout: 0, stderr: 0 }
    const { stdout, stderr, result } = await house.run(sandbox, {
      runtime: 'shell',
      code: 'seq 100000; printf "\\377\\000" >&2',
      maxOutputBytes: 20,
      onOutput: (stream, data) => (heard[stream] += data.length),
    })
    expect(stdout).toBe('1\n2\n3\n4\n5\n99\n100000\n')
    expect(result.stdout.omitted).toBe(588_895 - 20)
    expect(Buffer.from(result.stderr.bytes)).toEqual(Buffer.from([0xff, 0]))
    expect([stderr.length, result.stderr.omitted]).toEqual([2, 0])
    expect(heard).toEqual({ stdout: 588_895, stderr: 2 })
  })

  it('runs beside other code without mixing', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, (_, index) => python(`import time; time.sleep(0.05); print(${index})`)),
    )
    expect(outcomes.map(({ stdout }) => stdout)).toEqual(Array.from({ length: 12 }, (_, index) => `${index}\n`))
    expect(await codeFiles()).toEqual([])
  })

  it('runs again after a stop and a start, and where somebody has removed our folder', async () => {
    await write('/home/user/kept.py', 'WORD = "kept"')
    await house.sandboxes.stop(SCOPE, sandbox, 1_000)
    await expect(python('print(1)')).rejects.toMatchObject({ code: 'wrong-state' })
    await house.sandboxes.start(SCOPE, sandbox)
    expect((await python('import kept; print(kept.WORD)')).stdout).toBe('kept\n')
    await shell('rm -rf ~/.cove')
    expect((await python('print("again")')).stdout).toBe('again\n')
  })

  it.each([
    ['a link to where nothing can be written', 'rm -rf ~/.cove; ln -s /etc ~/.cove'],
    ['a file', 'rm -rf ~/.cove; touch ~/.cove'],
    ['closed', 'chmod 0 ~/.cove/run'],
  ])('runs elsewhere when code that ran before has made our folder %s', async (_how, spoil) => {
    const spoiled = await house.create()
    const run = (code: string) => house.run(spoiled, { runtime: 'shell', code })
    await run(spoil)
    expect(await run('dirname "$0"')).toMatchObject({ stdout: '/tmp/.cove/run\n' })
    await run('chmod 700 ~/.cove/run; rm -rf ~/.cove /tmp/.cove')
    expect(await run('echo again')).toMatchObject({ stdout: 'again\n' })
  })

  it('uses the configured interpreter, and says when there is none', async () => {
    await write('/home/user/snake', '#!/bin/sh\necho configured\nexec /usr/bin/python3 "$@"\n', 0o755)
    const runtimes = house.runtimesWith({ python: { run: '/home/user/snake' }, node: { run: '/opt/none/node' } })
    const request = { code: 'print(2)', timeoutMs: 10_000, maxOutputBytes: 100 }
    const { signal } = new AbortController()
    const { stdout } = await runtimes.run(SCOPE, sandbox, { ...request, runtime: 'python' }, signal)
    expect(Buffer.from(stdout.bytes).toString()).toBe('configured\n2\n')
    await expect(runtimes.run(SCOPE, sandbox, { ...request, runtime: 'node' }, signal)).rejects.toMatchObject({
      code: 'command-not-found',
      message: expect.stringContaining('/opt/none/node'),
    })
    expect(await codeFiles()).toEqual([])
    const empty = await house.create({ env: { PATH: '/nothing/here' } })
    await expect(house.run(empty, { runtime: 'python', code: 'print(1)' })).rejects.toMatchObject({
      code: 'command-not-found',
      message: expect.stringContaining('has no python3 and no python'),
      fix: expect.stringContaining('Python'),
    })
  })

  it('is taken for an ES module also by a node that does not look for itself', async () => {
    const old = '#!/bin/sh\n[ "$1" != --version ] || { echo v18.19.0; exit; }\nexec node "$@"\n'
    await write('/home/user/old-node', old, 0o755)
    const runtimes = house.runtimesWith({ node: { run: '/home/user/old-node' } })
    const request = { runtime: 'node', timeoutMs: 10_000, maxOutputBytes: 1_000 } as const
    const extension = async (code: string) => {
      const { stdout } = await runtimes.run(SCOPE, sandbox, { ...request, code }, new AbortController().signal)
      return Buffer.from(stdout.bytes).toString()
    }
    expect(await extension('import { extname } from "path"\nconsole.log(extname(import.meta.url))')).toBe('.mjs\n')
    expect(await extension('console.log(require("path").extname(__filename))')).toBe('.js\n')
  })

  it.each(['{}', '{"type":"commonjs"}', '{"type":"module"}'])(
    'is what it is beside a project of %s',
    async (manifest) => {
      await write('/home/user/package.json', manifest)
      const module = 'import { sep } from "path"\nconsole.log(sep, new URL(".", import.meta.url).pathname)'
      expect(await node(module)).toMatchObject({ stdout: '/ /home/user/.cove/run/\n', stderr: '' })
      expect(await node('const one = await 1\nconsole.log(one)')).toMatchObject({ stdout: '1\n', stderr: '' })
      expect(await node('const { sep } = require("path")\nconsole.log(sep, __dirname)')).toMatchObject({
        stdout: '/ /home/user/.cove/run\n',
        stderr: '',
      })
      expect(await node('async function go() { await 1; console.log(typeof require) }\ngo()')).toMatchObject({
        stdout: 'function\n',
        stderr: '',
      })
      await shell('rm package.json')
    },
  )

  it('is not run with bounds that are none', async () => {
    const bad = [
      { timeoutMs: 0 },
      { timeoutMs: Number.NaN },
      { timeoutMs: 1e12 },
      { maxOutputBytes: -1 },
      { maxOutputBytes: 1e9 },
    ]
    for (const change of bad) {
      await expect(house.run(sandbox, { runtime: 'shell', code: 'true', ...change })).rejects.toMatchObject({
        code: 'invalid-argument',
      })
    }
  })
})
