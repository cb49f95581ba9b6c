import { spawn } from 'node:child_process'
import { CoveError } from '@cove/domain'
import { hearLines } from './hear-lines.ts'

interface ToolRun {
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly signal: AbortSignal
  /** What it writes on stderr, and on stdout unless that is taken. */
  readonly line: (text: string) => void
  /** Takes all of stdout; the program has ended well when the returned promise is to resolve. */
  readonly stdout?: (output: AsyncIterable<Uint8Array>) => Promise<unknown>
}

const MAX_LINE = 1_000
const LINES_KEPT = 12

/** Runs a program to its end. Whatever it started in its own group ends with it. */
export async function runTool({ program, args, env = {}, cwd, signal, line, stdout }: ToolRun): Promise<void> {
  signal.throwIfAborted()
  const child = spawn(program, args, {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', ...env },
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const kill = () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGKILL')
  }
  signal.addEventListener('abort', kill, { once: true })
  const last: string[] = []
  const hear = (text: string) => {
    if (last.push(text) > LINES_KEPT) last.shift()
    line(text)
  }
  hearLines(child.stderr, MAX_LINE, hear)
  if (stdout === undefined) hearLines(child.stdout, MAX_LINE, hear)
  const ended = new Promise<number | string>((resolve) => {
    child.on('error', (error) => resolve(error.message)).on('close', (status, by) => resolve(status ?? by ?? 'unknown'))
  })
  try {
    const taken = stdout?.(child.stdout)
    taken?.catch(kill)
    const [status, output] = await Promise.allSettled([ended, taken])
    if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
    // What took the output knows better why it was cut short.
    const failed = status.status === 'fulfilled' && status.value !== 0 ? status.value : undefined
    if (output.status === 'rejected' && (failed === undefined || failed === 'SIGKILL')) throw output.reason
    if (failed !== undefined) throw failure(program, failed, last)
  } finally {
    signal.removeEventListener('abort', kill)
    kill()
    await ended
  }
}

function failure(program: string, status: number | string, said: readonly string[]): CoveError {
  const name = program.split('/').at(-1)
  const text = said.join('\n')
  if (/No space left on device/.test(text)) return new CoveError('no-space', `${name}: no space left on the disk`)
  return new CoveError('io-error', `${name} ended with ${status}: ${text.slice(-1_500)}`)
}
