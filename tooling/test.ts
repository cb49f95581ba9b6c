import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { leftovers, takeSnapshot } from './leftovers.ts'

/** A launcher without machines ends by itself after 30 s. */
const PATIENCE_MS = 45_000
const LOOK_MS = 500

/** The whole run: vitest, the guest program's own tests, and the check that nothing stays behind. */
const root = join(import.meta.dirname, '..')
const selection = process.argv.slice(2)
const counts = { passed: 0, failed: 0, skipped: 0 }

const before = takeSnapshot()
await runVitest(selection)
if (selection.length === 0) await runGuestTests()
await checkLeftovers()

process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0

async function runVitest(args: readonly string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cove-results-'))
  const report = join(folder, 'results.json')
  try {
    const status = await run('vitest', [
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...args,
    ])
    const result = JSON.parse(readFileSync(report, 'utf8')) as {
      numPassedTests: number
      numFailedTests: number
      numPendingTests: number
      numTodoTests: number
      testResults: { status: string; assertionResults: { status: string; fullName: string }[]; name: string }[]
    }
    counts.passed += result.numPassedTests
    counts.failed += result.numFailedTests
    counts.skipped += result.numPendingTests + result.numTodoTests
    for (const file of result.testResults) {
      for (const test of file.assertionResults) {
        if (test.status === 'pending' || test.status === 'skipped') process.stdout.write(`skipped: ${test.fullName}\n`)
      }
    }
    // A file that cannot be loaded, and an error outside every test, fail the run without a failed test.
    if (status !== 0 && result.numFailedTests === 0) counts.failed += 1
  } catch (error) {
    process.stdout.write(`vitest left no readable result: ${String(error)}\n`)
    counts.failed += 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function runGuestTests(): Promise<void> {
  let output = ''
  const status = await run('tooling/test-guest.sh', [], (chunk) => {
    output += chunk
  })
  let found = 0
  for (const [, passed, failed, ignored] of output.matchAll(
    /test result: \S+ (\d+) passed; (\d+) failed; (\d+) ignored/g,
  )) {
    counts.passed += Number(passed)
    counts.failed += Number(failed)
    counts.skipped += Number(ignored)
    found += Number(passed) + Number(failed)
  }
  if (found === 0 || (status !== 0 && !/[1-9]\d* failed/.test(output))) counts.failed += 1
}

async function checkLeftovers(): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  let found = leftovers(before, takeSnapshot())
  while (found.length > 0 && performance.now() < deadline) {
    await delay(LOOK_MS)
    found = leftovers(before, takeSnapshot())
  }
  if (found.length === 0) {
    counts.passed += 1
    process.stdout.write('nothing left behind\n')
    return
  }
  counts.failed += 1
  process.stdout.write(`left behind:\n${found.map((line) => `  ${line}\n`).join('')}`)
}

async function run(program: string, args: readonly string[], onOutput?: (chunk: string) => void): Promise<number> {
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  child.stdout.on('data', (chunk: Buffer) => {
    process.stdout.write(chunk)
    onOutput?.(chunk.toString('utf8'))
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? 1))
  })
}
