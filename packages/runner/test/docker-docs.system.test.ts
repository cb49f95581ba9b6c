import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { missingForDockerd, TestDockerd } from '@cove/docker-engine/testing'
import { GUEST_PROGRAM } from './support/bench.ts'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '../../..')
const missing = missingForDockerd()
if (missing !== undefined) console.log(`skipped: the examples of docs/runner-docker.md: ${missing}`)

const page = readFileSync(join(ROOT, 'docs/runner-docker.md'), 'utf8')
/** Every `ts` block with the `text` block right behind it. */
const examples = [...page.matchAll(/^```ts\n(.*?)^```\n\n```text\n(.*?)^```\n/gms)].map((match, at) => {
  const heading = page.slice(0, match.index).match(/^#+ .*$/gm)
  return { at, title: heading?.at(-1)?.replace(/^#+ /, '') ?? '', code: match[1] ?? '', output: match[2] ?? '' }
})

describe.skipIf(missing !== undefined)('the page about containers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  let daemon: TestDockerd
  beforeAll(async () => {
    mkdirSync(join(folder, 'code'))
    writeFileSync(join(folder, 'code/greeting'), 'hello from the host\n')
    daemon = await TestDockerd.start()
  })
  afterAll(async () => {
    await daemon?.[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  test('has an example for each part', () => {
    expect(examples.map(({ title }) => title)).toEqual([
      'Processes in a container',
      'Several at once',
      'When the program is killed',
      'Whatever works here',
    ])
  })

  test.each(examples)('$title', async ({ at, code, output }) => {
    const file = join(ROOT, 'build', `docs-example-${process.pid}-${at}.ts`)
    const given = [
      `const image = ${JSON.stringify(TestDockerd.image)}`,
      `const folder = ${JSON.stringify(join(folder, 'code'))}`,
      ...(code.includes('runner,')
        ? [
            `import { openRunner } from '@cove/runner'`,
            `await using runner = await openRunner(${JSON.stringify({ stateFolder: join(folder, 's'), guestProgram: GUEST_PROGRAM, idleMs: 100 })})`,
          ]
        : []),
    ]
    writeFileSync(file, `${given.join('\n')}\n${code}`)
    try {
      const env = { ...process.env, DOCKER_HOST: `unix://${daemon.socket}` }
      const { stdout } = await run(process.execPath, [file], { env, timeout: 50_000 })
      expect(stdout).toBe(output)
    } finally {
      rmSync(file)
    }
  })
})
