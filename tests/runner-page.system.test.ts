import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { openRunner } from '@cove/runner'
import { afterAll, expect, test } from 'vitest'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '..')
const page = readFileSync(join(ROOT, 'docs/runner.md'), 'utf8')
const examples = [...page.matchAll(/```ts\n([^`]*(?:`[^`]+`[^`]*)*?)```\n\n```text\n(.*?)```/gs)].map(
  ([, program = '', said = '']) => ({ program, said }),
)
const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
const env = { ...process.env, XDG_RUNTIME_DIR: folder }

mkdirSync(join(folder, 'node_modules/@cove'), { recursive: true })
symlinkSync(join(ROOT, 'packages/runner'), join(folder, 'node_modules/@cove/runner'))

afterAll(async () => {
  const runner = await openRunner({ stateFolder: join(folder, 'cove/runner') })
  await runner.launcher.stopLauncher()
  await runner.close()
  rmSync(folder, { recursive: true })
})

test('the page has an example for each of its chapters', () => {
  expect(examples.length).toBe(page.match(/^```ts$/gm)?.length)
  expect(examples.length).toBeGreaterThanOrEqual(6)
})

test.each(examples.map((example, index) => ({ ...example, number: index + 1 })))(
  'example $number says what the page shows',
  async ({ program, said, number }) => {
    const file = join(folder, `example-${number}.mts`)
    writeFileSync(file, program)
    const { stdout } = await run(process.execPath, [file], { cwd: folder, env })
    expect(stdout.trim().split('\n').toSorted()).toEqual(said.trim().split('\n').toSorted())
  },
)
