import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { GUEST_PROGRAM } from '../../test/support/bench.ts'
import { missingForNix, TestNix } from '../../test/support/nix.ts'
import { describeRunner } from '../conformance/index.ts'
import type { RunnerEnvironment } from '../environment/runner-environment.ts'
import { openRunner, type Runner } from '../native/open-runner.ts'

const missing = missingForNix()

/** A flake in a shell of a real nix. */
class Bench implements AsyncDisposable {
  readonly nix: TestNix
  readonly runner: Runner

  private constructor(nix: TestNix, runner: Runner) {
    this.nix = nix
    this.runner = runner
  }

  static async open(): Promise<Bench> {
    const nix = new TestNix()
    const runner = await openRunner({ stateFolder: join(nix.folder, 's'), guestProgram: GUEST_PROGRAM })
    return new Bench(nix, runner)
  }

  environment(nix = TestNix.program): Promise<RunnerEnvironment> {
    return this.runner.nix({
      directory: this.nix.flake,
      cacheFolder: join(this.nix.folder, 'cache'),
      nix,
      host: this.nix.env,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const entry of await this.runner.launcher.list()) await this.runner.launcher.destroy(entry.id)
    await this.runner.launcher.stopLauncher()
    await this.runner.close()
    this.nix[Symbol.dispose]()
  }
}

const say = async (environment: RunnerEnvironment, script: string): Promise<string[]> => {
  const proc = await environment.newProcess('sh', '-c', script)
  const lines: string[] = []
  proc.withOutput((line) => {
    lines.push(line.text)
  })
  await proc.run()
  return lines
}

describeRunner({
  name: 'nix',
  missing,
  capabilities: {
    programsAreLookedUp: 'at once',
    takesForeignBinaries: true,
    inheritsVariables: false,
    findsDetached: true,
  },
  async open() {
    const bench = await Bench.open()
    const environment = await bench.environment()
    return {
      environment,
      directory: bench.nix.flake,
      async [Symbol.asyncDispose]() {
        await environment.shutdown()
        await bench[Symbol.asyncDispose]()
      },
    }
  },
})

describe.skipIf(missing !== undefined)('processes in a shell of nix', () => {
  test('have its variables, which are built once for all who begin at the same time', async () => {
    await using bench = await Bench.open()
    const environment = await bench.environment()
    environment.withEnvironment({ MINE: 'environment', FOO2: 'x' })
    const steps: string[] = []
    await Promise.all([environment.init({ progress: (step) => steps.push(step) }), environment.init()])
    expect(steps[0]).toBe('building the shell')
    expect(environment.description).toContain('shell from nix')
    expect(await say(environment, 'echo $FOO $MINE')).toEqual(['bar environment'])
    const again = await bench.environment()
    await again.init()
    expect(again.description).toContain('shell from cache')
    expect(await say(again, 'echo $FOO $HOME')).toEqual([`bar ${bench.nix.env['HOME'] ?? ''}`])
  })

  test('are started by nix develop when the shell cannot be built, and the reason is told', async () => {
    await using bench = await Bench.open()
    bench.nix.writeFlake({ FOO: 'bar', broken: '${' })
    const environment = await bench.environment()
    await environment.init()
    expect(environment.description).toMatch(/nix develop.*nix exited with code 1/)
    const proc = await environment.newProcess('sh', '-c', 'echo never')
    expect(await proc.run()).toEqual({ kind: 'exited', code: 1 })
  })

  test('are wrapped too when what nix prints has no end that could be waited for', async () => {
    await using bench = await Bench.open()
    const loud = join(bench.nix.folder, 'nix')
    writeFileSync(loud, '#!/bin/sh\nhead -c 40000000 /dev/zero | tr "\\0" x | tee /dev/stderr\n', { mode: 0o755 })
    await using environment = await bench.environment(loud)
    const steps: string[] = []
    await environment.init({ progress: (step) => steps.push(step) })
    expect(environment.description).toContain('says more than')
    expect(Math.max(...steps.map(({ length }) => length))).toBeLessThanOrEqual(1000)
  })

  test('need the shell first, and a flake', async () => {
    await using bench = await Bench.open()
    const environment = await bench.environment()
    await expect(environment.newProcess('sh')).rejects.toMatchObject({ code: 'wrong-state' })
    const none = await bench.runner.nix({ directory: bench.nix.folder, nix: TestNix.program, host: bench.nix.env })
    await expect(none.init()).rejects.toMatchObject({ code: 'config-invalid' })
    await expect(bench.runner.nix({ host: { PATH: '/nowhere' } })).rejects.toMatchObject({ code: 'command-not-found' })
  })

  test('end with a build that is given up, and the next call builds', async () => {
    await using bench = await Bench.open()
    const environment = await bench.environment()
    await expect(environment.init({ signal: AbortSignal.timeout(30) })).rejects.toMatchObject({ code: 'cancelled' })
    expect(readdirSync(join(bench.nix.folder, 's/records'))).toEqual([])
    await environment.init()
    expect(await say(environment, 'echo $FOO')).toEqual(['bar'])
  })
})
