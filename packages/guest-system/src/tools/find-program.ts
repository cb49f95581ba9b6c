import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'

/** Fixed places, so that the caller's PATH decides nothing. */
export const PROGRAM_FOLDERS: readonly string[] = [
  '/usr/bin',
  '/usr/sbin',
  '/bin',
  '/sbin',
  '/usr/local/bin',
  '/run/current-system/sw/bin',
]

export async function findProgram(
  name: string,
  folders: readonly string[] = PROGRAM_FOLDERS,
): Promise<string | undefined> {
  for (const folder of folders) {
    const path = join(folder, name)
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  return undefined
}
