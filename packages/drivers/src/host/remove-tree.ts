import { chmod, lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Removes a folder with everything in it, never following links. Machines leave folders that their owner may not
 * enter (overlay's work folder has no permission bits at all): an ordinary user gives himself the right first.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true })
  } catch (error) {
    const code = errorCode(error)
    if (code !== 'EACCES' && code !== 'EPERM') throw error
    await unlock(path)
    await rm(path, { recursive: true, force: true })
  }
}

/** Somebody else may be removing the same tree: what vanishes meanwhile is gone, and that is all right. */
async function unlock(path: string): Promise<void> {
  try {
    if (!(await lstat(path)).isDirectory()) return
    await chmod(path, 0o700)
    for (const name of await readdir(path)) await unlock(join(path, name))
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
}

function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
