import { CoveError } from '@cove/domain'
import type { Io } from '../io.ts'
import { installDistributionPackage } from './distribution-package.ts'
import { findProgram } from './find-program.ts'
import type { InstallPolicy } from './install-policy.ts'

/** What the network `internet` is made with: programs and the packages that have them. */
const TOOLS = { slirp4netns: 'slirp4netns', nft: 'nftables' } as const
/** Not in the path of ordinary users, who need what is there all the same. */
const ADMIN_FOLDERS = '/usr/sbin:/sbin:/usr/local/sbin'

/** Packages that are not installed. */
export async function missingNetworkTools(io: Io): Promise<readonly string[]> {
  const path = `${io.env['PATH'] ?? ''}:${ADMIN_FOLDERS}`
  const missing: string[] = []
  for (const [program, name] of Object.entries(TOOLS)) {
    if ((await findProgram(program, path)) === undefined) missing.push(name)
  }
  return missing
}

/** Installs what is missing. Sandboxes run without, only with network `none`: the answer says why it is so. */
export async function ensureNetworkTools(policy: InstallPolicy, io: Io): Promise<CoveError | undefined> {
  const missing = await missingNetworkTools(io)
  if (missing.length === 0) return undefined
  try {
    await installDistributionPackage(missing, policy, io)
    return undefined
  } catch (error) {
    return CoveError.from(error)
  }
}
