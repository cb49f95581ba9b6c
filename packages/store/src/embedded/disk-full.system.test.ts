import { execFileSync } from 'node:child_process'
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { ManualClock } from '@cove/domain/manual-clock'
import { put, textOf } from '../conformance/fixture.ts'
import { openEmbeddedStore } from './open-embedded-store.ts'
import { testFile } from '../../test/test-file.ts'

const isRoot = process.getuid?.() === 0

/** A file system of 8 MiB, which only root can mount. */
async function smallDisk(): Promise<AsyncDisposable & { readonly directory: string }> {
  const place = await testFile()
  const directory = path.join(place.directory, 'disk')
  await mkdir(directory)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'cove-test-store', directory])
  return {
    directory,
    [Symbol.asyncDispose]: async () => {
      execFileSync('umount', [directory])
      await place[Symbol.asyncDispose]()
    },
  }
}

/** Takes all space that is left. */
async function fill(directory: string): Promise<string> {
  const ballast = path.join(directory, 'ballast')
  const { bavail, bsize } = await statfs(directory)
  await writeFile(ballast, new Uint8Array(bavail * bsize))
  return ballast
}

it.skipIf(!isRoot)('says that the disk is full, changes nothing, and goes on once there is space', async () => {
  await using disk = await smallDisk()
  const file = path.join(disk.directory, 'store.db')
  const clock = new ManualClock()
  {
    await using store = await openEmbeddedStore({ path: file, clock })
    const lease = await store.grantLease(1000)
    await store.txn([], [put('kept', '1'), put('leased', '1', lease)])
    const ballast = await fill(disk.directory)

    const value = new Uint8Array(200_000)
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => store.txn([], [{ type: 'put', key: `big/${i}`, value }, put('kept', '2')])),
    )
    for (const result of results) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'no-space', fix: /Free space/ } })
    }
    expect(await store.revision()).toBe(2)
    expect(textOf(await store.get('kept'))).toBe('1')
    expect((await store.range({ prefix: 'big/' })).items).toEqual([])
    // A lease that ends meanwhile ends for good as soon as it can be written.
    await clock.advance(1000)
    await expect(store.keepAlive(lease)).rejects.toMatchObject({ code: 'lease-not-found' })

    await rm(ballast)
    await clock.advance(1000)
    const abort = new AbortController()
    for await (const batch of store.watch({ prefix: 'leased', fromRevision: 3, signal: abort.signal })) {
      // What was refused has taken no revision.
      expect(batch).toEqual({ revision: 3, changes: [{ type: 'delete', key: 'leased' }] })
      break
    }
    expect(await store.txn([], [{ type: 'put', key: 'big', value }])).toEqual({ ok: true, revision: 4 })
  }
  await using store = await openEmbeddedStore({ path: file, clock })
  expect((await store.range({ prefix: '' })).items.map(({ key }) => key)).toEqual(['big', 'kept'])
})

it.skipIf(!isRoot)('answers each of a group by itself when only some of it fits', async () => {
  await using disk = await smallDisk()
  const file = path.join(disk.directory, 'store.db')
  await using store = await openEmbeddedStore({ path: file, clock: new ManualClock() })
  await store.txn([], [put('first', '')])
  const large = new Uint8Array(500_000)
  const results = await Promise.allSettled(
    Array.from({ length: 40 }, (_, i) => store.txn([], [{ type: 'put', key: `big/${i}`, value: large }])),
  )
  const kept = results.filter(({ status }) => status === 'fulfilled').length
  expect(kept).toBeGreaterThan(0)
  expect(kept).toBeLessThan(results.length)
  expect(await store.revision()).toBe(2 + kept)
  const found = await Promise.all(results.map((_, i) => store.get(`big/${i}`)))
  expect(found.map((item) => item !== undefined)).toEqual(results.map(({ status }) => status === 'fulfilled'))
})

it.skipIf(!isRoot)('opens on a full disk, so that things can be read and deleted', async () => {
  await using disk = await smallDisk()
  const file = path.join(disk.directory, 'store.db')
  const clock = new ManualClock()
  {
    await using store = await openEmbeddedStore({ path: file, clock })
    await store.txn([], [put('kept', '1')])
  }
  const ballast = await fill(disk.directory)
  await expect(openEmbeddedStore({ path: path.join(disk.directory, 'new.db'), clock })).rejects.toMatchObject({
    code: 'no-space',
  })
  await using store = await openEmbeddedStore({ path: file, clock })
  expect(textOf(await store.get('kept'))).toBe('1')
  await expect(store.txn([], [put('kept', '2')])).rejects.toMatchObject({ code: 'no-space' })
  await rm(ballast)
  expect((await store.txn([], [put('kept', '2')])).ok).toBe(true)
})
