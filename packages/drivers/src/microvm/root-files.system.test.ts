import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ImageId } from '@cove/domain'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RootFiles } from './root-files.ts'

const DUMP = '/usr/bin/dump.erofs'
const missing =
  process.getuid?.() !== 0
    ? 'only root lays folders over each other'
    : ['/usr/bin/mkfs.erofs', DUMP].every((path) => existsSync(path))
      ? undefined
      : 'erofs-utils is not installed'

const signal = () => AbortSignal.timeout(30_000)
const has = (file: string, path: string) => {
  try {
    return execFileSync(DUMP, [`--path=${path}`, file], { encoding: 'utf8', stdio: 'pipe' }).includes('regular file')
  } catch {
    return false
  }
}

describe.skipIf(missing !== undefined)(`roots as files${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let folder = ''
  const root = (...names: string[]) => ({ kind: 'layers', lower: names.map((name) => join(folder, name)) }) as const
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
    for (const name of ['one', 'two']) {
      await mkdir(join(folder, name))
      await writeFile(join(folder, name, name), name)
    }
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('are all folders over each other, made once, for whoever asks at the same time', async () => {
    const roots = new RootFiles(join(folder, 'roots'), undefined)
    const [file, same] = await Promise.all([
      roots.of(root('one', 'two'), signal()),
      roots.of(root('one', 'two'), signal()),
    ])
    expect(same).toBe(file)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect([has(file, '/one'), has(file, '/two'), has(file, '/three')]).toEqual([true, true, false])
    expect(await new RootFiles(join(folder, 'roots'), undefined).of(root('one', 'two'), signal())).toBe(file)
    expect(await readdir(join(folder, 'roots'))).toHaveLength(1)
  })

  it('are made anew when something in them has changed', async () => {
    const roots = new RootFiles(join(folder, 'roots'), undefined)
    const before = await roots.of(root('one'), signal())
    await writeFile(join(folder, 'one', 'more'), 'more')
    const after = await roots.of(root('one'), signal())
    expect([after === before, has(before, '/more'), has(after, '/more')]).toEqual([false, false, true])
  })

  it('come from the store of images where there is an image', async () => {
    const roots = new RootFiles(join(folder, 'roots'), (image) => Promise.resolve(`/images/${image}`))
    expect(await roots.of({ ...root('one'), image: 'i' as ImageId }, signal())).toBe('/images/i')
  })

  it('are not kept for ever, and a folder that is not there is an error that leaves nothing', async () => {
    const roots = new RootFiles(join(folder, 'roots'), undefined)
    for (let index = 0; index < 10; index++) {
      await writeFile(join(folder, 'one', 'more'), `${index}`)
      await roots.of(root('one'), signal())
    }
    expect((await readdir(join(folder, 'roots'))).length).toBeLessThanOrEqual(8)
    await expect(roots.of(root('none'), signal())).rejects.toMatchObject({ code: 'io-error' })
    await expect(roots.of(root('two'), AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' })
  })
})
