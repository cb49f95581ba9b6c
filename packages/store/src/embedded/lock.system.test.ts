import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { systemClock } from '@cove/domain/system'
import { nextLine, startChild } from '../../test/child.ts'
import { filled } from '../../test/filled-store.ts'
import { testFile } from '../../test/test-file.ts'
import { put, textOf } from '../conformance/fixture.ts'
import { openEmbeddedStore } from './open-embedded-store.ts'

const open = (file: string) => openEmbeddedStore({ path: file, clock: systemClock })

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
