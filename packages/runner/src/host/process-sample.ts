import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { CoveError, type Clock } from '@cove/domain'
import { systemClock } from '@cove/domain/system'

const run = promisify(execFile)

export type ProcessState =
  | 'running'
  | 'sleeping'
  | 'waiting-for-disk'
  | 'stopped'
  | 'traced'
  | 'zombie'
  | 'dead'
  | 'idle'
  | 'unknown'

/** What a process has used until now. */
export interface ProcessUsage {
  readonly state: ProcessState
  /** Processor time of all its threads, in milliseconds. */
  readonly cpuMs: number
  /** Resident memory. */
  readonly memoryBytes: number
}

export interface ProcessSample extends ProcessUsage {
  /** Share of one processor since the sample before, in percent; of two, 200 at most. Undefined in the first sample. */
  readonly cpuPercent: number | undefined
  /** Unix milliseconds. */
  readonly at: number
}

const STATES: Readonly<Record<string, ProcessState>> = {
  R: 'running',
  S: 'sleeping',
  D: 'waiting-for-disk',
  U: 'waiting-for-disk',
  T: 'stopped',
  t: 'traced',
  Z: 'zombie',
  X: 'dead',
  x: 'dead',
  I: 'idle',
  P: 'sleeping',
  W: 'sleeping',
  K: 'sleeping',
}
/** Ticks of `/proc/<pid>/stat` in a second: fixed in the kernel's interface to programs. */
const TICKS_PER_SECOND = 100
const TIMED_OUT_MS = 5_000

/** What the process uses now; undefined when there is none. `expectedStartTime` guards against a pid used again. */
export async function readUsage(pid: number, expectedStartTime?: number): Promise<ProcessUsage | undefined> {
  if (!Number.isInteger(pid) || pid < 1)
    throw new CoveError('invalid-argument', 'a pid is a whole number from 1', { pid })
  return process.platform === 'linux' ? fromProc(pid, expectedStartTime) : fromPs(pid)
}

/** Samples every `everyMs` milliseconds, until the process is gone or the signal aborts. */
export async function* sampleProcess(
  pid: number,
  { everyMs, clock = systemClock, signal, startTime }: SampleOptions,
): AsyncGenerator<ProcessSample> {
  let before: { readonly cpuMs: number; readonly monotonic: number } | undefined
  for (;;) {
    if (signal?.aborted === true) return
    const monotonic = clock.monotonic()
    const usage = await readUsage(pid, startTime)
    if (usage === undefined || usage.state === 'dead') return
    const passed = before === undefined ? 0 : monotonic - before.monotonic
    const cpuPercent = before === undefined || passed <= 0 ? undefined : (100 * (usage.cpuMs - before.cpuMs)) / passed
    before = { cpuMs: usage.cpuMs, monotonic }
    yield { ...usage, cpuPercent, at: clock.now() }
    if (usage.state === 'zombie') return
    await clock.sleep(everyMs, signal).catch(() => undefined)
  }
}

export interface SampleOptions {
  readonly everyMs: number
  /** Default: the system's. */
  readonly clock?: Clock
  readonly signal?: AbortSignal
  /** Field 22 of `/proc/<pid>/stat`: ends when the pid belongs to another process. */
  readonly startTime?: number
}

async function fromProc(pid: number, expectedStartTime: number | undefined): Promise<ProcessUsage | undefined> {
  try {
    const read = (name: string): Promise<string> => readFile(`/proc/${pid}/${name}`, 'latin1')
    const [stat, status] = await Promise.all([read('stat'), read('status')])
    // The name may hold blanks and brackets; what follows its last bracket has neither.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (expectedStartTime !== undefined && Number(fields[19]) !== expectedStartTime) return undefined
    const ticks = Number(fields[11]) + Number(fields[12])
    return {
      state: STATES[fields[0] ?? ''] ?? 'unknown',
      cpuMs: (ticks * 1000) / TICKS_PER_SECOND,
      // A zombie has none.
      memoryBytes: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024,
    }
  } catch (error) {
    if (isGone(error)) return undefined
    throw CoveError.from(error, 'io-error')
  }
}

/** Where there is no `/proc`. */
export async function fromPs(pid: number): Promise<ProcessUsage | undefined> {
  try {
    const columns = ['-o', 'state=', '-o', 'time=', '-o', 'rss=', '-p', String(pid)]
    const { stdout } = await run('ps', columns, { timeout: TIMED_OUT_MS })
    const [state = '', time = '', rss = ''] = stdout.trim().split(/\s+/)
    if (state === '') return undefined
    return { state: STATES[state.charAt(0)] ?? 'unknown', cpuMs: parsePsTime(time), memoryBytes: Number(rss) * 1024 }
  } catch (error) {
    // It answers 1 for a process that is not there.
    if (error instanceof Error && 'code' in error && error.code === 1) return undefined
    throw CoveError.from(error, 'io-error')
  }
}

/** `[[days-]hours:]minutes:seconds[.hundredths]`, in milliseconds. */
export function parsePsTime(text: string): number {
  const [, days = '0', clock = ''] = /^(?:(\d+)-)?(.*)$/.exec(text) ?? []
  const seconds = clock.split(':').reduce((sum, part) => sum * 60 + Number(part), 0)
  return Math.round((Number(days) * 86_400 + seconds) * 1000)
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')
}
