import { mkdir } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import { removeTree } from './remove-tree.ts'

/** Makes the folder `into`, which must not be there, and has `fill` fill it; when that fails, the folder is gone again. */
export async function makeTree<Result>(program: string, into: string, fill: () => Promise<Result>): Promise<Result> {
  try {
    await mkdir(into, { mode: 0o700 })
  } catch (thrown) {
    throw CoveError.from(thrown, 'io-error')
  }
  try {
    return await fill()
  } catch (thrown) {
    // Why it failed matters more than what could not be cleaned up after it.
    await removeTree(program, into).catch(() => {})
    throw thrown
  }
}
