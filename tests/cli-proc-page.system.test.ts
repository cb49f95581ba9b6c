import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { findFreePort } from '../packages/runner/src/host/ports.ts'
import { MAIN } from './support/daemon.ts'
import { TestProcs } from './support/procs.ts'

const page = readFileSync(join(import.meta.dirname, '../docs/proc.md'), 'utf8')
/** The port of the page; here it is one that is free. */
const PORT = '18099'
const examples = [...page.matchAll(/```sh\n(.*?)```/gs)].map((found) => found[1] ?? '')

it('does what docs/proc.md shows', async () => {
  await using procs = new TestProcs()
  const bin = join(procs.folder, 'bin')
  mkdirSync(bin)
  const start = `#!/bin/sh\nexec '${process.execPath}' --disable-warning=ExperimentalWarning '${MAIN}' "$@"\n`
  writeFileSync(join(bin, 'cove'), start, { mode: 0o755 })
  const port = String(await findFreePort())
  const said: string[] = []
  for (const example of examples) {
    const shell = spawn('sh', ['-ec', `exec 2>&1\n${example.replaceAll(PORT, port)}`], {
      cwd: procs.folder,
      env: { ...procs.env, PATH: `${bin}:${process.env['PATH'] ?? ''}`, HOME: procs.folder },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    shell.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')))
    const [status] = (await once(shell, 'close')) as [number | null]
    expect({ status, output }).toMatchObject({ status: 0 })
    said.push(output)
  }
  const [web = '', job = '', flaky = ''] = said
  expect(examples).toHaveLength(3)
  expect(web).toMatch(/^web +native +running +yes /m)
  expect(job).toMatch(/^ready: +yes$/m)
  expect(flaky).toContain('given up after 2 restarts in a row')
  expect(await procs.ok('ls', '--json')).toBe('[]\n')
})
