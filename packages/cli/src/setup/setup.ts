import type { Io } from '../io.ts'
import { ensureGuestProgram } from './guest-program.ts'
import type { InstallPolicy } from './install-policy.ts'
import { ensureBubblewrap } from './isolation-tool.ts'
import { ensureNetworkTools } from './network-tools.ts'

/** `cove setup`: what `cove up` does before it starts, and nothing more. */
export async function setup(args: { readonly install: InstallPolicy }, io: Io): Promise<number> {
  await ensureGuestProgram(args.install, io)
  const problem = await ensureBubblewrap(args.install, io)
  if (problem !== undefined) throw problem
  const network = await ensureNetworkTools(args.install, io)
  if (network !== undefined) {
    io.stderr.write(`warning: no network for sandboxes but none: ${network.message}\nfix: ${network.fix}\n`)
  }
  return 0
}
