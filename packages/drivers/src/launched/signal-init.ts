import { readFile } from 'node:fs/promises'
import type { HostProcess } from '@cove/runner'

/** Signals the first process of a machine. False when it is gone, or never came to be. */
export async function signalInit(monitor: HostProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<boolean> {
  const pid = await monitor.initPid()
  if (pid === undefined) return false
  // A pid may have come to mean another process; a child of the monitor is the machine's.
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (Number(parent) !== monitor.pid) return false
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
