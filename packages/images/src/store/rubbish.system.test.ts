import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { foldersIn, makeFolders } from './folders.ts'
import { Rubbish } from './rubbish.ts'

const tool = {
  unpack: () => Promise.reject(new Error('not here')),
  unpackFiles: () => Promise.reject(new Error('not here')),
  copy: () => Promise.reject(new Error('not here')),
  pack: () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('not here')) }) }),
  remove: (path: string) => Promise.resolve(rmSync(path, { recursive: true })),
}

test('what could not be removed does not take what comes under the same name', async () => {
  const base = mkdtempSync(join(tmpdir(), 'cove-test-'))
  try {
    const folders = foldersIn(base)
    await makeFolders(folders)
    let isBroken = true
    const rubbish = new Rubbish(folders, tool, () => {
      if (isBroken) throw new Error('the disk has a fault')
    })
    const blob = join(folders.blobs, 'sha256-1')
    writeFileSync(blob, 'old')
    rubbish.add({ files: [blob], layers: [] })
    await expect(rubbish.takeAway()).rejects.toThrow('fault')
    isBroken = false
    await Promise.all([rubbish.release([blob]), rubbish.release([blob, join(folders.blobs, 'another')])])
    expect(existsSync(blob)).toBe(false)
    writeFileSync(blob, 'new')
    expect(rubbish.isEmpty).toBe(true)
    await rubbish.takeAway()
    expect(existsSync(blob)).toBe(true)
  } finally {
    rmSync(base, { recursive: true })
  }
})

test('a layer that somebody else has removed keeps nothing else from being removed', async () => {
  const base = mkdtempSync(join(tmpdir(), 'cove-test-'))
  try {
    const folders = foldersIn(base)
    await makeFolders(folders)
    const rubbish = new Rubbish(folders, tool, () => {})
    const layers = ['1', '2'].map((name) => join(folders.layers, name))
    mkdirSync(join(folders.layers, '2'))
    rubbish.add({ files: [], layers })
    await rubbish.takeAway()
    await rubbish.burn()
    expect(rubbish.isEmpty).toBe(true)
    expect(layers.filter(existsSync)).toEqual([])
    expect(existsSync(join(folders.trash, '2'))).toBe(false)
  } finally {
    rmSync(base, { recursive: true })
  }
})
