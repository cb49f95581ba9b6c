import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'

const FILES = ['flake.nix', 'flake.lock'] as const

/**
 * Changes when the flake or its lock do: SHA-256 over both files, each with its length, and the system. A flake that
 * reads other files of its directory while it is evaluated is not seen through: bump its lock, or clear the cache.
 */
export async function flakeFingerprint(directory: string, system: string): Promise<string> {
  const hash = createHash('sha256').update(`${system}\0`)
  for (const name of FILES) {
    const bytes = await readIfThere(join(directory, name))
    if (bytes === undefined && name === 'flake.nix') {
      throw new CoveError(
        'config-invalid',
        `there is no flake.nix in ${directory}`,
        { directory },
        { fix: 'Make one with `nix flake init`, or take another backend.' },
      )
    }
    hash.update(`${name} ${bytes?.length ?? -1}\0`).update(bytes ?? Buffer.alloc(0))
  }
  return hash.digest('hex')
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw CoveError.from(error, 'io-error')
  }
}
