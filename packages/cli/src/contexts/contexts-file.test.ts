import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { changeContexts, readContexts } from './contexts-file.ts'

let folder: string
let env: { readonly XDG_CONFIG_HOME: string }
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  env = { XDG_CONFIG_HOME: folder }
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const add = (name: string): Promise<void> =>
  changeContexts(env, ({ contexts }) => ({ contexts: { ...contexts, [name]: { url: `http://${name}` } } }))

it('keeps what several commands add at the same time', async () => {
  const names = Array.from({ length: 20 }, (_, index) => `c${index}`)
  await Promise.all(names.map(add))
  expect(Object.keys((await readContexts(env)).contexts).toSorted()).toEqual(names.toSorted())
  expect(readdirSync(join(folder, 'cove'))).toEqual(['contexts.yaml'])
})

it('leaves the file as it is where a change is refused', async () => {
  await add('one')
  const refused = changeContexts(env, () => {
    throw new Error('no')
  })
  await expect(refused).rejects.toThrow('no')
  expect(Object.keys((await readContexts(env)).contexts)).toEqual(['one'])
  expect(readdirSync(join(folder, 'cove'))).toEqual(['contexts.yaml'])
})

it('does not wait for a command that has died, and keeps the file to its user', async () => {
  mkdirSync(join(folder, 'cove'))
  const left = join(folder, 'cove/contexts.yaml.new')
  writeFileSync(left, 'half', { mode: 0o644 })
  utimesSync(left, 1, 1)
  await add('one')
  expect(Object.keys((await readContexts(env)).contexts)).toEqual(['one'])
  expect(statSync(join(folder, 'cove/contexts.yaml')).mode & 0o777).toBe(0o600)
})

it('writes where a link leads to', async () => {
  mkdirSync(join(folder, 'cove'))
  writeFileSync(join(folder, 'elsewhere.yaml'), '')
  symlinkSync(join(folder, 'elsewhere.yaml'), join(folder, 'cove/contexts.yaml'))
  await add('one')
  expect(lstatSync(join(folder, 'cove/contexts.yaml')).isSymbolicLink()).toBe(true)
  expect(Object.keys((await readContexts(env)).contexts)).toEqual(['one'])
})
