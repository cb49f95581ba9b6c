import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { open, readdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { describe, expect, it } from 'vitest'
import { copyFile, hasMark } from './copy-file.ts'
import { keepFile } from './keep-file.ts'
import { PROGRAM, scratch, sh } from './testing/scratch.ts'

const MiB = 1024 * 1024
const PYTHON = '/usr/bin/python3'
const asRoot = process.getuid?.() === 0
const canMap = existsSync(PYTHON) && asRoot
if (!canMap) console.log('skipped: what a process has changed in a mapping needs root and python3')

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof CoveError ? error.code : String(error)),
  )

/** Some content here and there in a large file. */
async function sparse(path: string): Promise<void> {
  await using file = await open(path, 'wx')
  await file.truncate(64 * MiB + 5)
  await file.write('first', 10)
  await file.write(Buffer.alloc(3 * MiB, 'x'), 0, 3 * MiB, 20 * MiB + 77)
  // What looks like content and is none.
  await file.write(Buffer.alloc(4 * MiB), 0, 4 * MiB, 40 * MiB)
  await file.write('last', 64 * MiB + 1)
}

describe('a large file', () => {
  it('is copied byte for byte, without what is zero, and is known again', async () => {
    await using folder = scratch()
    const [from, into] = [join(folder.path, 'from'), join(folder.path, 'into')]
    await sparse(from)
    const { mark, stored } = await copyFile(PROGRAM, { from, into })
    sh(folder.path, 'cmp from into')
    const { size, blocks } = await stat(into)
    expect(mark.size).toBe(size)
    expect(stored).toBe(blocks * 512)
    expect(mark.samples.length).toBeGreaterThan(30)
    expect(await hasMark(into, mark)).toBe(true)
  })

  it('is not known again when it is shorter, emptied, missing, or another one', async () => {
    await using folder = scratch()
    const [from, into] = [join(folder.path, 'from'), join(folder.path, 'into')]
    await sparse(from)
    const { mark } = await copyFile(PROGRAM, { from, into })
    await truncate(into, mark.size - 1)
    expect(await hasMark(into, mark)).toBe(false)
    await truncate(into, 0)
    await truncate(into, mark.size)
    expect(await hasMark(into, mark)).toBe(false)
    expect(await hasMark(join(folder.path, 'missing'), mark)).toBe(false)
    expect(await hasMark(folder.path, mark)).toBe(false)
  })

  it('is not what a link or a pipe of its name leads to, and replaces nothing', async () => {
    await using folder = scratch()
    const place = (name: string) => join(folder.path, name)
    await writeFile(place('secret'), 'secret')
    await symlink(place('secret'), place('link'))
    sh(folder.path, 'mkfifo pipe')
    for (const name of ['link', 'pipe', 'missing', '.']) {
      expect(await codeOf(copyFile(PROGRAM, { from: place(name), into: place('into') }))).toBe('io-error')
      expect(existsSync(place('into'))).toBe(false)
    }
    await writeFile(place('kept'), 'kept')
    expect(await codeOf(copyFile(PROGRAM, { from: place('secret'), into: place('kept') }))).toBe('io-error')
    expect(await readFile(place('kept'), 'utf8')).toBe('kept')
  })

  it.runIf(asRoot)('leaves nothing when the disk is full', async () => {
    await using folder = scratch()
    const [from, small] = [join(folder.path, 'from'), join(folder.path, 'small')]
    await sparse(from)
    sh(folder.path, 'mkdir small; mount -t tmpfs -o size=1m cove-test small')
    try {
      expect(await codeOf(copyFile(PROGRAM, { from, into: join(small, 'into') }))).toBe('no-space')
      expect(await readdir(small)).toEqual([])
    } finally {
      sh(folder.path, 'umount small')
    }
  })

  it('leaves nothing when nobody wants it any more', async () => {
    await using folder = scratch()
    const [from, into] = [join(folder.path, 'from'), join(folder.path, 'into')]
    await sparse(from)
    expect(await codeOf(copyFile(PROGRAM, { from, into, signal: AbortSignal.abort() }))).toBe('cancelled')
    expect(existsSync(into)).toBe(false)
  })

  it.runIf(canMap)('is copied with what a process has changed in its own mapping of it', async () => {
    await using folder = scratch()
    const [from, into] = [join(folder.path, 'from'), join(folder.path, 'into')]
    await sparse(from)
    await truncate(from, 64 * MiB)
    const script = `import mmap, sys
f = open(sys.argv[1], 'rb'); m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
m[5*4096:5*4096+3] = b'own'; m[30*1024*1024:32*1024*1024] = b'y' * (2*1024*1024); m[-1:] = b'z'; m[100]
print('mapped', flush=True); sys.stdin.read()`
    const child = spawn(PYTHON, ['-c', script, from], { stdio: ['pipe', 'pipe', 'inherit'] })
    try {
      await once(child.stdout, 'data')
      const { mark } = await copyFile(PROGRAM, { from, into, process: child.pid ?? 0 })
      const [before, after] = await Promise.all([readFile(from), readFile(into)])
      before.write('own', 5 * 4096)
      before.fill('y', 30 * MiB, 32 * MiB)
      before.write('z', before.length - 1)
      expect(after.equals(before)).toBe(true)
      expect(await hasMark(into, mark)).toBe(true)
      // One that has nothing of it.
      const other = join(folder.path, 'other')
      expect(await codeOf(copyFile(PROGRAM, { from, into: other, process: process.pid }))).toBe('unsupported')
      expect(existsSync(other)).toBe(false)
    } finally {
      child.kill()
      await once(child, 'close')
    }
  })

  it.runIf(asRoot)('is held in memory where nobody can change it, and shared by those who map it', async () => {
    await using folder = scratch()
    const [from, empty] = [join(folder.path, 'from'), join(folder.path, 'empty')]
    await sparse(from)
    const kept = await keepFile(PROGRAM, from)
    try {
      sh(folder.path, `cmp from ${kept.path}`)
      expect((await stat(kept.path)).blocks * 512).toBeLessThan(4 * MiB)
      await using file = await open(kept.path, 'r+')
      await expect(file.write('other')).rejects.toThrow('EPERM')
      await expect(file.truncate(5)).rejects.toThrow('EPERM')
      expect(codeOfStatus(folder.path, `fallocate --punch-hole --offset 0 --length 4096 ${kept.path}`)).not.toBe(0)
      sh(folder.path, `cmp from ${kept.path}`)
    } finally {
      await kept[Symbol.asyncDispose]()
    }
    await expect(open(kept.path)).rejects.toThrow('ENOENT')
    expect(await codeOf(keepFile(PROGRAM, empty))).toBe('io-error')
    expect(await codeOf(keepFile(PROGRAM, from, AbortSignal.abort()))).toBe('cancelled')
  })
})

const codeOfStatus = (cwd: string, command: string): number | null =>
  spawnSync('sh', ['-c', command], { cwd, stdio: 'ignore' }).status
