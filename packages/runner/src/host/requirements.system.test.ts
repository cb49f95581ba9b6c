import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { checkRequirements, findProgram, needRequirements, REQUIREMENTS } from './requirements.ts'

const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
afterAll(() => rmSync(folder, { recursive: true }))

function program(name: string, text: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`)
  chmodSync(join(folder, name), 0o755)
}

test('what is there is told with its path and version, and what is not with how to get it', async () => {
  program('go', 'echo "go version go1.26.8 linux/amd64"')
  program('python3', 'echo "Python 3.11.7" >&2')
  program('poetry', 'echo broken >&2; exit 3')
  program('nix', 'echo no numbers')
  const reports = await checkRequirements(REQUIREMENTS, { PATH: `${folder}:relative::` })
  const found = Object.fromEntries(
    reports.map((report) => [report.name, report.found ? report.version : report.reason]),
  )
  expect(found).toEqual({
    go: '1.26.8',
    node: 'node is not installed',
    npm: 'npm is not installed',
    python: '3.11.7',
    poetry: expect.stringContaining('poetry does not run'),
    nix: `${folder}/nix does not tell its version`,
    docker: 'docker is not installed',
  })
  for (const report of reports)
    expect(report.found || report.fix.includes('nstall') || report.name === 'npm').toBe(true)
  await needRequirements(['go', 'python'], { PATH: folder })
  await expect(needRequirements(['go', 'docker'], { PATH: folder })).rejects.toMatchObject({
    code: 'command-not-found',
    fix: expect.stringContaining('docker.io'),
  })
})

test('the node that runs this is found', async () => {
  const [node] = await checkRequirements(['node'], { PATH: `${process.execPath.replace(/\/[^/]+$/, '')}:/bin` })
  expect(node).toMatchObject({ found: true, version: process.versions.node })
})

test('a program is looked up in absolute folders only', async () => {
  program('mine', 'true')
  expect(await findProgram('mine', folder)).toBe(join(folder, 'mine'))
  expect(await findProgram('mine', `.:${folder}`)).toBe(join(folder, 'mine'))
  expect(await findProgram('mine', '.')).toBeUndefined()
  expect(await findProgram(join(folder, 'mine'))).toBe(join(folder, 'mine'))
  expect(await findProgram('./mine', folder)).toBeUndefined()
})
