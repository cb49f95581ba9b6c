import type { Io } from '../io.ts'
import { ensureGuestProgram } from './guest-program.ts'
import type { InstallPolicy } from './install-policy.ts'
import { ensureBubblewrap } from './isolation-tool.ts'

/** `cove setup`: what `cove up` does before it starts, and nothing more. */
export async function setup(args: { readonly install: InstallPolicy }, io: Io): Promise<number> {
  await ensureGuestProgram(args.install, io)
  const problem = await ensureBubblewrap(args.install, io)
  if (problem === undefined) return 0
  throw problem
}
