import { execFile } from 'node:child_process'
import { chown, copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { GUEST_PROGRAM, isRoot } from './support/host-rig.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** Nobody of this host: no name, no subordinate ids, no rights. */
const USER = 61_234

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

it.runIf(isRoot)('passes the same tests as an ordinary user', { timeout: 300_000 }, async (context) => {
  const home = await mkdtemp(join(tmpdir(), 'cove-test-'))
  try {
    await chown(home, USER, USER)
    const guest = join(home, 'guest')
    await copyFile(GUEST_PROGRAM, guest)
    const report = join(home, 'report.json')
    const identity = ['--reuid', `${USER}`, '--regid', `${USER}`, '--clear-groups']
    const program = join(ROOT, 'node_modules/vitest/vitest.mjs')
    const readable = await run('setpriv', [...identity, process.execPath, '--check', program], { cwd: '/' }).then(
      () => true,
      () => false,
    )
    if (!readable) context.skip('other users cannot read this checkout')
    const vitest = [
      program,
      'run',
      // The default loader writes beside the configuration, where only the owner of the checkout may.
      '--configLoader',
      'native',
      '--project',
      'system',
      '--reporter',
      'json',
      '--outputFile',
      report,
      'packages/drivers/src',
    ]
    await run('setpriv', [...identity, process.execPath, ...vitest], {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], HOME: home, TMPDIR: home, COVE_TEST_GUEST: guest },
    }).catch(() => undefined)
    const { numPassedTests, testResults } = JSON.parse(await readFile(report, 'utf8')) as Report
    const failed = testResults
      .flatMap(({ assertionResults }) => assertionResults)
      .filter(({ status }) => status === 'failed')
      .map(({ fullName }) => fullName)
    expect(failed).toEqual([])
    expect(numPassedTests).toBeGreaterThan(150)
  } finally {
    await rm(home, { recursive: true, force: true })
  }
})
