import { CoveError } from '@cove/domain'
import type { Io } from '../io.ts'
import { installDistributionPackage } from './distribution-package.ts'
import { findProgram } from './find-program.ts'
import type { InstallPolicy } from './install-policy.ts'

/**
 * Makes sure that bubblewrap is here. Its absence is no reason not to start: the answer is the error that says why, for
 * the report of drivers to show.
 */
export async function ensureBubblewrap(policy: InstallPolicy, io: Io): Promise<CoveError | undefined> {
  if ((await findProgram('bwrap', io.env['PATH'])) !== undefined) return undefined
  try {
    await installDistributionPackage(['bubblewrap'], policy, io)
    return undefined
  } catch (error) {
    return CoveError.from(error)
  }
}
