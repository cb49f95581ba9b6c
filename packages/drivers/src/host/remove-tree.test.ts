import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { removeTree } from './remove-tree.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  await mkdir(join(folder, 'tree/a/b'), { recursive: true })
  await mkdir(join(folder, 'kept'))
  await writeFile(join(folder, 'kept/file'), '')
})
afterEach(() => rm(folder, { recursive: true }))

it('removes small trees and what links point to stays', async () => {
  await symlink(join(folder, 'kept'), join(folder, 'tree/a/link'))
  await removeTree(join(folder, 'tree'))
  expect(await readdir(folder)).toEqual(['kept'])
  expect(await readdir(join(folder, 'kept'))).toEqual(['file'])
})

it('removes large trees', async () => {
  for (let index = 0; index < 200; index++) await writeFile(join(folder, `tree/a/b/${index}`), '')
  await removeTree(join(folder, 'tree'))
  expect(await readdir(folder)).toEqual(['kept'])
})

it('removes folders without permissions', async () => {
  await chmod(join(folder, 'tree/a'), 0)
  await removeTree(join(folder, 'tree'))
  expect(await readdir(folder)).toEqual(['kept'])
})

it('minds not what is not there', async () => {
  await removeTree(join(folder, 'nothing'))
  expect(await readdir(folder)).toEqual(['kept', 'tree'])
})
