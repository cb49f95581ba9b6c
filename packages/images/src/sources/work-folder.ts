import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import type { StoreParts } from '../store/parts.ts'

/** A folder of its own, gone when it is disposed of. */
export async function workFolder(parts: StoreParts): Promise<AsyncDisposable & { readonly path: string }> {
  const path = join(parts.folders.work, String(parts.catalog.number()))
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    throw CoveError.from(error, 'io-error')
  }
  return { path, [Symbol.asyncDispose]: async () => await parts.layers.remove(path) }
}
