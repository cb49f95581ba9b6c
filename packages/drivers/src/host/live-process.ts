import { readFile } from 'node:fs/promises'

/** One process for ever: a pid alone is used again. */
export interface LiveProcess {
  readonly pid: number
  /** Ticks since boot, field 22 of `/proc/<pid>/stat`. */
  readonly startTime: number
}

export async function liveProcess(pid: number): Promise<LiveProcess | undefined> {
  const startTime = await startTimeOf(pid)
  return startTime === undefined ? undefined : { pid, startTime }
}

/** The process that has a pid that somebody else has told, where it is in a control group of that name. */
export async function memberOf(group: string, pid: number): Promise<LiveProcess | undefined> {
  const found = await liveProcess(pid)
  if (found === undefined) return undefined
  const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')
  const isMember = groups.split('\n').some((line) => line.split('/').includes(group))
  return isMember && (await isAlive(found)) ? found : undefined
}

export async function isAlive({ pid, startTime }: LiveProcess): Promise<boolean> {
  return (await startTimeOf(pid)) === startTime
}

/** False when it has ended. The signal 0 only asks. */
export async function signalProcess({ pid, startTime }: LiveProcess, signal: NodeJS.Signals | 0): Promise<boolean> {
  if ((await startTimeOf(pid)) !== startTime) return false
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}

async function startTimeOf(pid: number): Promise<number | undefined> {
  if (pid <= 1) return undefined
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const text = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  return text === undefined ? undefined : Number(text)
}
