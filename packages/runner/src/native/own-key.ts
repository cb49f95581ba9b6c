import { readFile } from 'node:fs/promises'

/** This program's pid and start time, which name it for ever. */
export async function ownKey(): Promise<{ readonly pid: number; readonly startTime: number }> {
  const stat = await readFile('/proc/self/stat', 'latin1')
  // The name may hold blanks and brackets; what follows its last bracket has neither.
  const startTime = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  return { pid: process.pid, startTime }
}
