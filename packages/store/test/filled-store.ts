import { readFile, writeFile } from 'node:fs/promises'
import { systemClock } from '@cove/domain/system'
import { openEmbeddedStore } from '../src/index.ts'
import { testFile, type TestFile } from './test-file.ts'

let pages: Promise<Uint8Array> | undefined

/** Puts a store with some pages and 51 revisions there, as a clean end leaves it. */
export async function filled(place: TestFile): Promise<void> {
  pages ??= write()
  await writeFile(place.file, await pages, { mode: 0o600 })
}

async function write(): Promise<Uint8Array> {
  await using place = await testFile()
  {
    await using store = await openEmbeddedStore({ path: place.file, clock: systemClock })
    for (let i = 0; i < 50; i++) {
      await store.txn(
        [],
        [
          { type: 'put', key: `k/${i}`, value: Buffer.from(`${i}`.repeat(200)) },
          { type: 'put', key: 'same', value: Buffer.from(`${i}`) },
        ],
      )
    }
  }
  return await readFile(place.file)
}
