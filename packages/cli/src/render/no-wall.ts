import type { SandboxInfo } from '@cove/sdk'
import type { Io } from '../io.ts'
import { writeWarning } from './error.ts'

/** What runs in isolation `process` has the rights of the daemon: whoever starts it reads that each time. */
export function warnOfNoWall({ isolation, driver }: SandboxInfo, io: Io): void {
  if (isolation !== 'process') return
  writeWarning(io, `there is no wall around this sandbox: ${driver ?? 'its driver'} gives it all rights of the daemon`)
}
