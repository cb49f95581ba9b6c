import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { guess } from './detect.ts'
import { readProject } from './read-project.ts'
import { projectText } from './write-project.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))
const put = (name: string, text: string) => writeFileSync(join(folder, name), text)

it('finds what a directory needs, and what is written can be read again', () => {
  put('package.json', '{"name": "@team/Shop", "dependencies": {"express": "5"}, "devDependencies": {"vite": "7"}}')
  put('package-lock.json', '{}')
  put('requirements.txt', '# tools\nFlask==3.0\nrequests\n')
  const found = guess(folder)
  expect(found).toEqual({
    name: 'shop',
    because: ['package.json', 'requirements.txt'],
    network: 'internet',
    ports: [3000, 5173, 5000],
    copy: ['package.json', 'package-lock.json', 'requirements.txt'],
    setup: ['npm ci', 'python3 -m venv .venv', '.venv/bin/pip install -r requirements.txt'],
  })
  const { because: _because, ...rest } = found
  const answers = { ...rest, template: 'host', idle: '30m' }
  expect(readProject(projectText(answers), 'cove.yaml')).toEqual({
    ...rest,
    template: 'host',
    timeouts: { idle: 1_800_000 },
  })
})

it.each([
  ['nothing', undefined, ''],
  ['broken JSON', 'package.json', '{'],
  ['no dependencies', 'package.json', '[]'],
  ['only comments', 'requirements.txt', '# none\n\n'],
])('asks for no network where there is %s', (_what, file, text) => {
  if (file !== undefined) put(file, text)
  const { name, network, setup, copy } = guess(folder)
  expect({ network, setup, copy }).toEqual({ network: 'none', setup: [], copy: [] })
  expect(name).toMatch(/^cove-test-[a-z0-9-]*[a-z0-9]$/)
  const answers = { name, network, setup, copy, ports: [], template: 'host', idle: 'never' }
  expect(readProject(projectText(answers), 'cove.yaml')).toEqual({
    name,
    template: 'host',
    network: 'none',
    timeouts: { idle: 'never' },
  })
})
