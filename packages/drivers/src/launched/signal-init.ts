import { readFile } from 'node:fs/promises'
import type { HostProcess } from '@cove/runner'
import { liveProcess, signalProcess, type LiveProcess } from '../host/live-process.ts'

/** The first process of a machine; undefined when it is gone, or never came to be. */
export async function firstProcess(monitor: HostProcess): Promise<LiveProcess | undefined> {
  const pid = await monitor.initPid()
  const found = pid === undefined ? undefined : await liveProcess(pid)
  if (found === undefined) return undefined
  // A pid may have come to mean another process; a child of the monitor is the machine's.
  const stat = await readFile(`/proc/${found.pid}/stat`, 'utf8').catch(() => '')
  const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(parent) === monitor.pid ? found : undefined
}

/** Signals the first process of a machine. False when there is none. */
export async function signalInit(monitor: HostProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<boolean> {
  const found = await firstProcess(monitor)
  return found !== undefined && (await signalProcess(found, signal))
}
