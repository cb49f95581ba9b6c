import { readFile } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import type { HostProcess } from '@cove/runner'

/** Fails unless the kernel says of the machine's first process that its system calls are filtered. */
export async function expectFiltered(monitor: HostProcess | undefined): Promise<void> {
  const pid = await monitor?.initPid()
  const status = pid === undefined ? '' : await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '')
  if (!/^Seccomp:\s+2$/m.test(status)) throw new CoveError('driver-failed', 'its system calls are not filtered')
}
