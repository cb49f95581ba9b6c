import { readdirSync, rmdirSync, unlinkSync } from 'node:fs'
import { chmod, lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** Entries that are removed at once, in well under a millisecond; more are left to the thread pool. */
const SMALL = 48

/**
 * Removes a folder with everything in it, never following links. Machines leave folders that their owner may not
 * enter (overlay's work folder has no permission bits at all): an ordinary user gives himself the right first.
 */
export async function removeTree(path: string): Promise<void> {
  if (removeSmall(path, { left: SMALL })) return
  try {
    await rm(path, { recursive: true, force: true })
  } catch (error) {
    const code = errorCode(error)
    if (code !== 'EACCES' && code !== 'EPERM') throw error
    await unlock(path)
    await rm(path, { recursive: true, force: true })
  }
}

/** False when there is more than the budget, or anything out of the ordinary. */
function removeSmall(path: string, budget: { left: number }): boolean {
  try {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      budget.left -= 1
      if (budget.left < 0) return false
      const inner = join(path, entry.name)
      if (!entry.isDirectory()) unlinkSync(inner)
      else if (!removeSmall(inner, budget)) return false
    }
    rmdirSync(path)
    return true
  } catch (error) {
    return errorCode(error) === 'ENOENT'
  }
}

async function unlock(path: string): Promise<void> {
  const stats = await lstat(path).catch(() => undefined)
  if (stats?.isDirectory() !== true) return
  await chmod(path, 0o700)
  for (const name of await readdir(path)) await unlock(join(path, name))
}

function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
