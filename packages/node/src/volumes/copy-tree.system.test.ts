import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readlink, rename, rm, stat, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CoveError } from '@cove/domain'
import { copyTree } from './copy-tree.ts'

const TAR = '/bin/tar'
const NEVER = new AbortController().signal
const run = promisify(execFile)

let folder: string
let from: string
let to: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cove-test-copy-'))
  from = join(folder, 'from')
  to = join(folder, 'to')
  await mkdir(from, { mode: 0o777 })
  await mkdir(to, { mode: 0o700 })
})
afterEach(() => rm(folder, { recursive: true, force: true }))

test('everything is as it was: modes, links, holes, names', async () => {
  await writeFile(join(from, '-rf'), 'content', { mode: 0o640 })
  await symlink('/etc', join(from, 'link'))
  await run('/bin/ln', ['--', join(from, '-rf'), join(from, 'hard')])
  await run('/usr/bin/truncate', ['-s', '64M', join(from, 'sparse')])
  await copyTree(TAR, from, to, NEVER)
  expect(await readFile(join(to, '-rf'), 'utf8')).toBe('content')
  const [one, other, sparse, root] = await Promise.all(
    ['-rf', 'hard', 'sparse', '.'].map((name) => stat(join(to, name))),
  )
  expect((one?.mode ?? 0) & 0o777).toBe(0o640)
  expect(one?.ino).toBe(other?.ino)
  expect(sparse).toMatchObject({ size: 64 << 20 })
  expect(sparse?.blocks).toBeLessThan(100)
  expect((root?.mode ?? 0) & 0o777).toBe((await stat(from)).mode & 0o777)
  expect(await readlink(join(to, 'link'))).toBe('/etc')
})

test('nothing outside is read, also when links take the place of folders meanwhile', async () => {
  const outside = join(folder, 'outside')
  const inner = join(from, 'inner')
  for (const place of [outside, inner]) {
    await mkdir(place)
    for (let n = 0; n < 200; n++) await writeFile(join(place, `file-${n}`), place === outside ? 'secret' : 'mine')
  }
  const over = new AbortController()
  const isOver = (): boolean => over.signal.aborted
  const swap = async (): Promise<void> => {
    while (!isOver()) {
      await rename(inner, `${inner}.aside`)
      await symlink(outside, inner)
      await unlink(inner)
      await rename(`${inner}.aside`, inner)
    }
  }
  const swapping = swap()
  const targets = Array.from({ length: 20 }, (_, turn) => join(to, String(turn)))
  try {
    for (const target of targets) {
      await mkdir(target)
      await copyTree(TAR, from, target, NEVER).catch(() => undefined)
    }
  } finally {
    over.abort()
    await swapping
  }
  const found = await run('/bin/grep', ['-rlw', 'secret', to]).catch(() => ({ stdout: '' }))
  expect(found.stdout).toBe('')
}, 60_000)

test('ends with the signal, and says what has failed', async () => {
  const gone = AbortSignal.abort(new CoveError('cancelled', 'the caller has gone'))
  await expect(copyTree(TAR, from, to, gone)).rejects.toMatchObject({ code: 'cancelled' })
  await expect(copyTree(TAR, join(folder, 'nothing'), to, NEVER)).rejects.toMatchObject({
    code: 'driver-failed',
    message: expect.stringContaining('nothing'),
  })
})
