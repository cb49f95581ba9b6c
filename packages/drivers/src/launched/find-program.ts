import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

const PROGRAM_FOLDERS = [
  '/usr/bin',
  '/usr/local/bin',
  '/bin',
  '/usr/sbin',
  '/usr/local/sbin',
  '/sbin',
  '/run/current-system/sw/bin',
]
const VERSION_MS = 5_000
const MAX_VERSION = 80

/** Fixed places, so that the caller's PATH decides nothing. */
export async function findProgram(name: string, given: string | undefined): Promise<string | undefined> {
  for (const path of given === undefined ? PROGRAM_FOLDERS.map((folder) => join(folder, name)) : [given]) {
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  return undefined
}

/** The first line of what it says to `--version`. */
export async function versionOf(program: string): Promise<string> {
  const { stdout } = await run(program, ['--version'], { env: {}, timeout: VERSION_MS }).catch(() => ({ stdout: '' }))
  return stdout.split('\n', 1).join('').trim().slice(0, MAX_VERSION) || 'unknown'
}
