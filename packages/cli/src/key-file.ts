import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { defaultDataDir } from './config/settings.ts'
import type { Io } from './io.ts'

/** The key that the daemon made at its first start. */
export async function readKeyFile(env: Io['env']): Promise<{ readonly path: string; readonly key: string }> {
  const directory = env['COVE_DATA_DIR'] ?? defaultDataDir(env)
  const path = join(directory, 'api-key')
  try {
    return { path, key: (await readFile(path, 'utf8')).trim() }
  } catch (cause) {
    const denied = cause instanceof Error && 'code' in cause && cause.code === 'EACCES'
    if (denied) {
      throw new CoveError(
        'permission-denied',
        `you may not read the API key in ${path}`,
        { path },
        {
          fix: 'Ask as the user who runs Cove, or set COVE_API_KEY.',
          cause,
        },
      )
    }
    throw new CoveError(
      'daemon-not-running',
      `there is no API key in ${path} yet`,
      { path },
      {
        fix: 'Start Cove once with `cove up`, or name its data directory with COVE_DATA_DIR.',
        cause,
      },
    )
  }
}
