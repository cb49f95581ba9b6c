import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** A directory of its own for one test, with the name of a store's file in it. */
export interface TestFile extends AsyncDisposable {
  readonly directory: string
  readonly file: string
}

export async function testFile(): Promise<TestFile> {
  const directory = await mkdtemp(path.join(tmpdir(), 'cove-test-store-'))
  return {
    directory,
    file: path.join(directory, 'store.db'),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}
