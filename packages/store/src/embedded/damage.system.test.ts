import { randomInt } from 'node:crypto'
import { chmod, copyFile, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { systemClock } from '@cove/domain/system'
import { nextLine, startChild } from '../../test/child.ts'
import { filled } from '../../test/filled-store.ts'
import { hashes } from '../../test/hashes.ts'
import { testFile } from '../../test/test-file.ts'
import { openEmbeddedStore } from './open-embedded-store.ts'

const open = (file: string) => openEmbeddedStore({ path: file, clock: systemClock })

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
