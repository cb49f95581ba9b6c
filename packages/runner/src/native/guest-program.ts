import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'

/**
 * The guest program that is beside this code: in a checkout what `tooling/build-guest.sh` has built, in a released package
 * what it brings. `launcher-unavailable` when there is none.
 */
export async function findGuestProgram(): Promise<string> {
  // From the source of this room, and from a bundle in the released package's `dist`.
  const candidates = ['../../../../build/cove-guest', `../guest/${process.platform}-${process.arch}/cove-guest`]
  for (const candidate of candidates) {
    const path = join(import.meta.dirname, candidate)
    if (await mayRun(path)) return path
  }
  throw new CoveError(
    'launcher-unavailable',
    'the guest program is not there',
    {},
    {
      fix: 'Build it with tooling/build-guest.sh, or name it with `guestProgram`.',
    },
  )
}

async function mayRun(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
