import { readFileSync } from 'node:fs'
import { readFile, rename, unlink, writeFile } from 'node:fs/promises'

/** What a running daemon tells the command line; `daemon.json` in the data directory. */
export interface DaemonRecord {
  readonly url: string
  readonly pid: number
  /** Ticks since boot, field 22 of /proc/<pid>/stat: a pid alone may belong to somebody else by now. */
  readonly startTime: number
  readonly bootId: string
  readonly version: string
}

export async function writeDaemonRecord(file: string, record: DaemonRecord): Promise<void> {
  const aside = `${file}.${process.pid}`
  await writeFile(aside, `${JSON.stringify(record)}\n`, { mode: 0o600 })
  await rename(aside, file)
}

/** Undefined when there is none, it cannot be read, or the daemon it names is gone. */
export async function readLivingDaemon(file: string): Promise<DaemonRecord | undefined> {
  let record: DaemonRecord
  try {
    record = JSON.parse(await readFile(file, 'utf8')) as DaemonRecord
  } catch {
    return undefined
  }
  return isAlive(record) ? record : undefined
}

export async function removeDaemonRecord(file: string, pid: number): Promise<void> {
  try {
    const record = JSON.parse(await readFile(file, 'utf8')) as DaemonRecord
    if (record.pid === pid) await unlink(file)
  } catch {
    // Gone already, or a later daemon's.
  }
}

export function isAlive(record: Pick<DaemonRecord, 'pid' | 'startTime' | 'bootId'>): boolean {
  return record.bootId === bootId() && processStartTime(record.pid) === record.startTime
}

/** Undefined when there is no such process. */
export function processStartTime(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in parentheses may itself hold spaces and parentheses; fields count from behind the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : Number(fields[19])
  } catch {
    return undefined
  }
}

export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return 'unknown'
  }
}
