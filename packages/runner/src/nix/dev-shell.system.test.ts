import { execFile } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { systemRandom } from '@cove/domain/system'
import { describe, expect, test } from 'vitest'
import { missingForNix, TestNix } from '../../test/support/nix.ts'
import { openDevShell, type DevShell } from './dev-shell.ts'
import type { RunTool } from './run-tool.ts'

const missing = missingForNix()
if (missing !== undefined) console.log(`skipped: development shells by a real nix: ${missing}`)

/** Counts how often nix was asked. */
function tool(nix: TestNix): { run: RunTool; calls: () => number } {
  let calls = 0
  const run: RunTool = ([program = '', ...args], { directory, onErrorLine }, signal) => {
    calls++
    return new Promise((resolve) => {
      const options = { cwd: directory, env: nix.env, ...(signal === undefined ? {} : { signal }) }
      const child = execFile(program, args, options, (error, stdout, stderr) => {
        for (const line of stderr.split('\n')) if (line !== '') onErrorLine(line)
        resolve({ stdout, exit: { kind: 'exited', code: error === null ? 0 : (child.exitCode ?? 1) } })
      })
    })
  }
  return { run, calls: () => calls }
}

const open = (nix: TestNix, run: RunTool, told: string[] = []): Promise<DevShell> =>
  openDevShell({
    directory: nix.flake,
    cacheFolder: join(nix.folder, 'cache'),
    nix: TestNix.program,
    run,
    random: systemRandom,
    progress: (step) => told.push(step),
  })

describe.skipIf(missing !== undefined)('a development shell by a real nix', () => {
  test('is built once, and again when the flake changes', async () => {
    using nix = new TestNix()
    const { run, calls } = tool(nix)
    const first = await open(nix, run)
    expect(first).toMatchObject({ kind: 'materialized', from: 'nix', env: { FOO: 'bar', PATH: '/usr/bin:/bin' } })
    expect(await open(nix, run)).toEqual({ ...first, from: 'cache' })
    expect(calls()).toBe(1)

    nix.writeFlake({ FOO: 'changed' })
    expect(await open(nix, run)).toMatchObject({ from: 'nix', env: { FOO: 'changed' } })
    writeFileSync(join(nix.flake, 'flake.lock'), '{"nodes":{"root":{}},"root":"root","version":7}')
    expect(await open(nix, run)).toMatchObject({ from: 'nix' })
    expect(calls()).toBe(3)
  })

  test('its cache is private, and one that is broken or of another version is as good as none', async () => {
    using nix = new TestNix()
    const { run, calls } = tool(nix)
    await open(nix, run)
    const path = join(nix.folder, 'cache/nix-devshell.json')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const whole = readFileSync(path, 'utf8')
    const others = ['', '{', whole.slice(0, -20), whole.replace('"version":', '"version":9'), '[]', '{"env":3}']
    for (const other of others) {
      writeFileSync(path, other)
      expect(await open(nix, run)).toMatchObject({ from: 'nix' })
    }
    expect(calls()).toBe(1 + others.length)
    expect(readFileSync(path, 'utf8')).not.toBe('')
  })

  test('its cache is not believed where somebody else could have written it', async () => {
    using nix = new TestNix()
    const { run, calls } = tool(nix)
    await open(nix, run)
    const path = join(nix.folder, 'cache/nix-devshell.json')
    const forged = readFileSync(path, 'utf8').replace('"bar"', '"forged"')
    const elsewhere = join(nix.folder, 'elsewhere')
    const forgeries = [
      () => chmodSync(path, 0o622),
      () => {
        writeFileSync(elsewhere, forged, { mode: 0o600 })
        rmSync(path)
        symlinkSync(elsewhere, path)
      },
      ...(process.getuid?.() === 0 ? [() => chownSync(path, 65_534, 65_534)] : []),
    ]
    for (const forge of forgeries) {
      writeFileSync(path, forged)
      forge()
      expect(await open(nix, run)).toMatchObject({ from: 'nix', env: { FOO: 'bar' } })
    }
    expect(calls()).toBe(1 + forgeries.length)
  })

  test('is built again when the store has been cleared of it', async () => {
    using nix = new TestNix()
    const { run } = tool(nix)
    const programs = join(nix.folder, 'programs')
    mkdirSync(programs)
    nix.writeFlake({ PATH: `${programs}:/usr/bin:/bin:/never/there` })
    await open(nix, run)
    expect(await open(nix, run)).toMatchObject({ from: 'cache' })
    rmSync(programs, { recursive: true })
    expect(await open(nix, run)).toMatchObject({ from: 'nix' })
  })

  test('a shell that cannot be built is wrapped, and the reason is kept', async () => {
    using nix = new TestNix()
    const { run } = tool(nix)
    writeFileSync(join(nix.flake, 'flake.nix'), '{ outputs = { self }: { }; }')
    const told: string[] = []
    const shell = await open(nix, run, told)
    expect(shell).toMatchObject({ kind: 'wrapped', reason: expect.stringContaining('does not provide attribute') })
    expect(shell.kind === 'wrapped' && shell.prefix.slice(-3)).toEqual(['develop', `path:${nix.flake}`, '--command'])
    expect(existsSync(join(nix.folder, 'cache'))).toBe(false)
    expect(told[0]).toBe('building the shell')
  })

  test('a directory without a flake is refused', async () => {
    using nix = new TestNix()
    rmSync(join(nix.flake, 'flake.nix'))
    await expect(open(nix, tool(nix).run)).rejects.toMatchObject({ code: 'config-invalid' })
  })

  test('a cache that cannot be written costs nothing but time', async () => {
    using nix = new TestNix()
    // A file where the folder should be: root may write everywhere else.
    writeFileSync(join(nix.folder, 'cache'), 'in the way')
    chmodSync(join(nix.folder, 'cache'), 0o600)
    const told: string[] = []
    expect(await open(nix, tool(nix).run, told)).toMatchObject({ from: 'nix' })
    expect(told.at(-1)).toMatch(/^not cached/)
  })
})
