import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, randomInt } from 'node:crypto'
import { chmod, copyFile, mkdir, readdir, readFile, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { ManualClock } from '@cove/domain/manual-clock'
import { systemClock } from '@cove/domain/system'
import { put, textOf } from '../conformance/fixture.ts'
import { nextLine, startChild } from '../../test/child.ts'
import { openEmbeddedStore } from './open-embedded-store.ts'
import { SCHEMA_VERSION } from './schema.ts'
import { testFile, type TestFile } from '../../test/test-file.ts'

const open = (file: string) => openEmbeddedStore({ path: file, clock: systemClock })

/** A store that schema version 1 wrote. */
const fixture = fileURLToPath(new URL('../../test/fixtures/store-v1.db', import.meta.url))

/** Names and hashes of everything in the directory: equal means untouched. */
async function hashes(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const lines = entries.map(async (entry) => {
    const file = path.join(entry.parentPath, entry.name)
    if (!entry.isFile()) return file
    return `${file} ${createHash('sha256')
      .update(await readFile(file))
      .digest('hex')}`
  })
  return (await Promise.all(lines)).toSorted()
}

let pages: Uint8Array = new Uint8Array()
beforeAll(async () => {
  await using place = await testFile()
  {
    await using store = await open(place.file)
    for (let i = 0; i < 50; i++) await store.txn([], [put(`k/${i}`, `${i}`.repeat(200)), put('same', `${i}`)])
  }
  pages = await readFile(place.file)
})

/** Puts a store with some pages there, as a clean end leaves it. */
async function filled(place: TestFile): Promise<void> {
  await writeFile(place.file, pages, { mode: 0o600 })
}

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

describe('the lock', () => {
  it('refuses a second process at once, by name, and harms nobody', async () => {
    await using place = await testFile()
    await using store = await open(place.file)
    await store.txn([], [put('a', '1')])
    // By another process: a process that closes a file loses all its locks on it.
    const sums = () => execFileSync('sh', ['-c', 'sha256sum "$1"/*', 'sh', place.directory], { encoding: 'utf8' })
    const before = sums()
    await using child = startChild('holder', [place.file])
    expect(await nextLine(child)).toBe(`store-locked the store ${place.file} is in use by another process`)
    expect(sums()).toEqual(before)
    await store.txn([], [put('a', '2')])
    expect(textOf(await store.get('a'))).toBe('2')
  })

  it('refuses a second instance in the same process, and the first keeps its lock', async () => {
    await using place = await testFile()
    await using _store = await open(place.file)
    for (let i = 0; i < 3; i++) await expect(open(place.file)).rejects.toMatchObject({ code: 'store-locked' })
    await using child = startChild('holder', [place.file])
    expect(await nextLine(child)).toMatch(/^store-locked /)
  })

  it('is free after a close, and after a kill', async () => {
    await using place = await testFile()
    await filled(place)
    {
      await using child = startChild('holder', [place.file])
      expect(await nextLine(child)).toBe('opened 51')
      await expect(open(place.file)).rejects.toMatchObject({ code: 'store-locked' })
      child.process.stdin?.end()
      await child.lines.next()
    }
    {
      await using child = startChild('holder', [place.file])
      expect(await nextLine(child)).toBe('opened 51')
    }
    await using store = await open(place.file)
    expect(await store.revision()).toBe(51)
  })
})

describe('a file that is no good', () => {
  const damages: Record<string, (file: string) => Promise<void>> = {
    'is empty': (file) => writeFile(file, ''),
    'is garbage': (file) => writeFile(file, 'this was never a store '.repeat(1000)),
    'is one byte': (file) => writeFile(file, 'S'),
    'is zeros': (file) => writeFile(file, new Uint8Array(64 * 1024)),
    'is cut in its header': (file) => truncate(file, 60),
    'is cut after its first page': (file) => truncate(file, 4096),
    'is cut in the middle': async (file) => truncate(file, Math.floor((await stat(file)).size / 2)),
    'lacks its last byte': async (file) => truncate(file, (await stat(file)).size - 1),
    'has a wrong magic': (file) => overwrite(file, 3, Uint8Array.of(0)),
    'has flipped bytes in its schema': (file) => overwrite(file, 100, new Uint8Array(64).fill(0x5a)),
    'has a page of noise': (file) => overwrite(file, 3 * 4096, new Uint8Array(4096).fill(0xa5)),
    'is somebody else’s database': async (file) => {
      await writeFile(file, '')
      const db = new DatabaseSync(file)
      db.exec('CREATE TABLE mine (a); INSERT INTO mine VALUES (1)')
      db.close()
    },
    'has a revision older than its log': async (file) => {
      const db = new DatabaseSync(file)
      db.exec("UPDATE meta SET value = 7 WHERE name = 'revision'")
      db.close()
    },
  }
  it.each(Object.entries(damages))('that %s is refused and left untouched', async (_, damage) => {
    await using place = await testFile()
    await filled(place)
    await damage(place.file)
    const before = await hashes(place.directory)
    await expect(open(place.file)).rejects.toMatchObject({
      code: 'store-corrupt',
      message: expect.stringContaining(place.file),
    })
    expect(await hashes(place.directory)).toEqual(before)
  })

  it('is left untouched also when a killed process left its log beside it', async () => {
    await using place = await testFile()
    const source = await testFile()
    await using _source = source
    await filled(source)
    {
      await using child = startChild('writer', [source.file, '0'])
      for (let i = 0; i < 50; i++) await nextLine(child)
    }
    await copyFile(source.file, place.file)
    await copyFile(`${source.file}-wal`, `${place.file}-wal`)
    await overwrite(place.file, 3 * 4096, new Uint8Array(4096).fill(0xa5))
    // A page that the log replaces does no harm; the log is made to hold none.
    await truncate(`${place.file}-wal`, 32)
    const before = await hashes(place.directory)
    await expect(open(place.file)).rejects.toMatchObject({ code: 'store-corrupt' })
    expect(await hashes(place.directory)).toEqual(before)
    // The undamaged pair opens.
    await using store = await open(source.file)
    expect(await store.revision()).toBeGreaterThan(100)
  })

  it('never ends the process, wherever its bytes are flipped', async () => {
    await using place = await testFile()
    await filled(place)
    const whole = await readFile(place.file)
    const outcomes = new Set<string>()
    for (let i = 0; i < 16; i++) {
      const bytes = Buffer.from(whole)
      // Half of them at the head of a page, half anywhere.
      const at = i % 2 === 0 ? i * 2048 : randomInt(whole.length)
      bytes[at] = (bytes[at] ?? 0) ^ 0xff
      await writeFile(place.file, bytes)
      outcomes.add(await readThrough(place.file))
    }
    // Inside a value nobody can tell; anywhere else it is named.
    expect([...outcomes].filter((each) => each !== 'read' && each !== 'store-corrupt')).toEqual([])
    expect(outcomes).toContain('store-corrupt')
  })

  it('is named when it is a directory, and when there is no directory', async () => {
    await using place = await testFile()
    await expect(open(place.directory)).rejects.toMatchObject({ code: 'store-corrupt' })
    await expect(open(path.join(place.directory, 'none', 'store.db'))).rejects.toMatchObject({ code: 'io-error' })
    expect(await readdir(place.directory)).toEqual([])
  })

  it.skipIf(process.getuid?.() !== 0)('is named when this user may not read it', async () => {
    await using place = await testFile()
    await filled(place)
    await chmod(place.directory, 0o755)
    await using child = startChild('holder', [place.file, '65534'])
    expect(await nextLine(child)).toMatch(/^io-error the store .* cannot be used: EACCES/)
    await chmod(place.file, 0o666)
    await using other = startChild('holder', [place.file, '65534'])
    expect(await nextLine(other)).toMatch(/^io-error the store .* cannot be used/)
    await using fresh = startChild('holder', [path.join(place.directory, 'new.db'), '65534'])
    expect(await nextLine(fresh)).toMatch(/^io-error the store .* cannot be used: EACCES/)
    expect(await readdir(place.directory)).toEqual(['store.db'])
  })
})

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

async function overwrite(file: string, at: number, bytes: Uint8Array): Promise<void> {
  const whole = await readFile(file)
  whole.set(bytes, at)
  await writeFile(file, whole)
}

/** `read` when everything could be, otherwise the code of the first error. */
async function readThrough(file: string): Promise<string> {
  try {
    await using store = await open(file)
    await store.range({ prefix: '' })
    await store.range({ prefix: '', revision: 20 })
    return 'read'
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}
