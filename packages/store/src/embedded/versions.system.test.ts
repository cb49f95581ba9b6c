import { spawnSync } from 'node:child_process'
import { copyFile, readdir, readFile } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { systemClock } from '@cove/domain/system'
import { ManualClock } from '@cove/domain/manual-clock'
import { filled } from '../../test/filled-store.ts'
import { hashes } from '../../test/hashes.ts'
import { testFile } from '../../test/test-file.ts'
import { put, textOf } from '../conformance/fixture.ts'
import { openEmbeddedStore } from './open-embedded-store.ts'
import { SCHEMA_VERSION } from './schema.ts'

const open = (file: string) => openEmbeddedStore({ path: file, clock: systemClock })

/** A store that schema version 1 wrote. */
const fixture = fileURLToPath(new URL('../../test/fixtures/store-v1.db', import.meta.url))

describe('versions', () => {
  it('a file of a later version is refused and left untouched', async () => {
    await using place = await testFile()
    await filled(place)
    const db = new DatabaseSync(place.file)
    db.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`)
    db.close()
    const before = await hashes(place.directory)
    await expect(open(place.file)).rejects.toMatchObject({
      code: 'store-too-new',
      context: { version: SCHEMA_VERSION + 1, supported: SCHEMA_VERSION },
    })
    expect(await hashes(place.directory)).toEqual(before)
  })

  it('a file of version 1 is brought up to date with everything in it', async () => {
    await using place = await testFile()
    await copyFile(fixture, place.file)
    const clock = new ManualClock()
    {
      await using store = await openEmbeddedStore({ path: place.file, clock })
      expect(await store.revision()).toBe(6)
      const { items } = await store.range({ prefix: '' })
      expect(items.map((item) => [item.key, textOf(item), item.createRevision, item.modRevision, item.lease])).toEqual([
        ['big', 'small', 5, 6, undefined],
        ['box/a', 'uno', 2, 3, undefined],
        ['held', 'by a lease', 4, 4, 'h'.repeat(16)],
      ])
      const then = await store.range({ prefix: 'box/', revision: 3 })
      expect(then.items.map((item) => [item.key, textOf(item)])).toEqual([
        ['box/a', 'uno'],
        ['box/b', 'two'],
      ])
      await expect(store.range({ prefix: '', revision: 1 })).rejects.toMatchObject({ code: 'store-compacted' })
      await store.keepAlive('h'.repeat(16))
      await store.txn([], [put('box/a', 'now')])
    }
    const db = new DatabaseSync(place.file, { readOnly: true })
    expect(db.prepare('PRAGMA user_version').get()).toEqual({ user_version: SCHEMA_VERSION })
    const sum = db.prepare('SELECT sum(length(key) + ifnull(length(prev_value), 0)) AS value FROM log').get()
    expect(db.prepare("SELECT value FROM meta WHERE name = 'history_bytes'").get()).toEqual(sum)
    db.close()
    await using again = await open(place.file)
    expect(await again.revision()).toBe(7)
  })

  it('a step to a later version that was killed in the middle begins again from the old one', async () => {
    await using place = await testFile()
    await copyFile(fixture, place.file)
    // So little memory that the half-done step reaches the file before its end.
    const halfDone = `
      const db = new (require('node:sqlite').DatabaseSync)(${JSON.stringify(place.file)})
      db.exec('PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN EXCLUSIVE; PRAGMA user_version = 99')
      db.exec('UPDATE kv SET value = zeroblob(500000); UPDATE meta SET value = 77; DELETE FROM log')
      process.kill(process.pid, 'SIGKILL')`
    expect(spawnSync(process.execPath, ['-e', halfDone]).signal).toBe('SIGKILL')
    expect(await readdir(place.directory)).toEqual(['store.db', 'store.db-journal'])
    expect(await readFile(place.file)).not.toEqual(await readFile(fixture))
    await using store = await open(place.file)
    expect(await store.revision()).toBe(6)
    expect((await store.range({ prefix: '', revision: 3 })).items.map(({ key }) => key)).toEqual(['box/a', 'box/b'])
  })
})
