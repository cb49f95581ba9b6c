import { mkdir, readdir, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '@cove/domain/system'
import { filled } from '../../test/filled-store.ts'
import { testFile } from '../../test/test-file.ts'
import { put } from '../conformance/fixture.ts'
import { openEmbeddedStore } from './open-embedded-store.ts'

const open = (file: string) => openEmbeddedStore({ path: file, clock: systemClock })

describe('the file', () => {
  it('is made for its owner alone, with nothing beside it after it was closed', async () => {
    await using place = await testFile()
    {
      await using store = await open(place.file)
      await store.txn([], [put('a', '1')])
    }
    expect((await stat(place.file)).mode & 0o777).toBe(0o600)
    expect(await readdir(place.directory)).toEqual(['store.db'])
  })

  it('is made once when several make it at the same time', async () => {
    await using place = await testFile()
    const opened = await Promise.allSettled([1, 2, 3, 4].map(() => open(place.file)))
    const lost = opened.filter((each) => each.status === 'rejected')
    expect(lost.map(({ reason }) => reason.code)).toEqual(['store-locked', 'store-locked', 'store-locked'])
    for (const each of opened) if (each.status === 'fulfilled') await each.value.close()
    expect(await readdir(place.directory)).toEqual(['store.db'])
  })

  it('may be named through a symlink', async () => {
    await using place = await testFile()
    await filled(place)
    const link = path.join(place.directory, 'link.db')
    await symlink(place.file, link)
    await using store = await open(link)
    expect(await store.revision()).toBe(51)
    await expect(open(place.file)).rejects.toMatchObject({ code: 'store-locked' })
  })

  it('sheds what killed processes left beside it', async () => {
    await using place = await testFile()
    await filled(place)
    const old = [`${place.file}.check-abc123`, `${place.file}.new-0123`]
    await mkdir(old[0] ?? '')
    await writeFile(old[1] ?? '', 'half made')
    for (const each of old) await utimes(each, 1, 1)
    await writeFile(`${place.file}.new-fresh`, 'in the making')
    await using _store = await open(place.file)
    expect((await readdir(place.directory)).filter((name) => !name.endsWith('-wal'))).toEqual([
      'store.db',
      'store.db.new-fresh',
    ])
  })
})
