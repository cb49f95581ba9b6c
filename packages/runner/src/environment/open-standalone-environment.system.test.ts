import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { describe, expect, test } from 'vitest'
import { GUEST_PROGRAM } from '../../test/support/bench.ts'
import { missingForNix, TestNix } from '../../test/support/nix.ts'
import { openRunner, type Runner } from '../native/open-runner.ts'
import { openStandaloneEnvironment } from './open-standalone-environment.ts'

const missing = missingForNix()

const docker = (): Promise<never> => Promise.reject(new CoveError('driver-failed', 'no engine answers'))
const nix = (): Promise<never> => Promise.reject(new CoveError('command-not-found', 'nix is not installed'))

async function withRunner(tell: (runner: Runner, folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  const runner = await openRunner({ stateFolder: join(folder, 's'), guestProgram: GUEST_PROGRAM })
  try {
    await tell(runner, folder)
  } finally {
    for (const entry of await runner.launcher.list()) await runner.launcher.destroy(entry.id)
    await runner.launcher.stopLauncher()
    await runner.close()
    rmSync(folder, { recursive: true })
  }
}

test('there is always an environment, and it says which and why', async () => {
  await withRunner(async (runner, folder) => {
    const open = async (...args: [asked?: 'auto' | 'native' | 'nix' | 'docker', options?: object]) => {
      await using found = await openStandaloneEnvironment(runner, folder, ...args)
      expect(await (await found.environment.newProcess('/bin/true')).run()).toEqual({ kind: 'exited', code: 0 })
      return [found.environment.backend, found.fallback, found.reason.replace(/^.*?: /, '')]
    }
    expect(await open()).toEqual(['native', false, 'there is no flake.nix'])
    expect(await open('native')).toEqual(['native', false, 'asked for'])
    expect(await open('nix')).toEqual(['native', true, 'nix was asked for, and there is no flake.nix'])
    expect(await open('docker')).toEqual(['native', true, 'docker was asked for, and nothing says which image'])
    expect(await open('docker', { docker })).toEqual(['native', true, 'docker cannot be used: no engine answers'])
    writeFileSync(join(folder, 'flake.nix'), '{}')
    expect(await open('nix', { nix })).toEqual(['native', true, 'nix cannot be used: nix is not installed'])
    expect(await open('auto', { nix })).toEqual(['native', false, 'nix cannot be used: nix is not installed'])
  })
})

test('only a directory that is not there, and giving up, leave nobody with one', async () => {
  await withRunner(async (runner, folder) => {
    await expect(openStandaloneEnvironment(runner, join(folder, 'none'))).rejects.toMatchObject({
      code: 'path-invalid',
    })
    const options = { signal: AbortSignal.abort() }
    await expect(openStandaloneEnvironment(runner, folder, 'native', options)).rejects.toMatchObject({
      code: 'cancelled',
    })
  })
})

describe.skipIf(missing !== undefined)('with a real nix', () => {
  test('a directory with a flake gets its shell', async () => {
    await withRunner(async (runner, folder) => {
      using real = new TestNix()
      const openReal = (directory: string) =>
        runner.nix({ directory, nix: TestNix.program, host: real.env, cacheFolder: join(folder, 'cache') })
      await using found = await openStandaloneEnvironment(runner, real.flake, 'auto', { nix: openReal })
      expect(found).toMatchObject({ fallback: false, reason: expect.stringContaining('shell from nix') })
    })
  })
})
