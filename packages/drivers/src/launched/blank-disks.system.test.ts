import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BlankDisks } from './blank-disks.ts'

describe.skipIf(process.getuid?.() !== 0)('blank disks', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cove-test-blanks-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const ready = () => readdirSync(join(folder, 'blanks')).length

  it('become disks of their owner, and are made anew', async () => {
    const blanks = await BlankDisks.open(join(folder, 'blanks'), 2)
    await expect.poll(ready).toBe(2)
    expect(await blanks.place(join(folder, 'disk'), 12_345)).toBe(true)
    for (const name of ['ru', 'rw', 'uu', 'uw']) {
      expect(statSync(join(folder, 'disk', name))).toMatchObject({ uid: 12_345, gid: 12_345 })
      expect(statSync(join(folder, 'disk', name)).mode & 0o777).toBe(0o755)
    }
    expect(statSync(join(folder, 'disk'))).toMatchObject({ uid: 0 })
    await expect.poll(ready).toBe(2)
    await blanks.close()
    expect(existsSync(join(folder, 'blanks'))).toBe(false)
  })

  it('are no obstacle when there is none, and nothing of a dead daemon stays', async () => {
    mkdirSync(join(folder, 'blanks/stale'), { recursive: true })
    const blanks = await BlankDisks.open(join(folder, 'blanks'), 0)
    expect(readdirSync(join(folder, 'blanks'))).toEqual([])
    expect(await blanks.place(join(folder, 'disk'), 1)).toBe(false)
    expect(existsSync(join(folder, 'disk'))).toBe(false)
    await blanks.close()
  })
})
