import { spawn } from 'node:child_process'
import { CoveError } from '@cove/domain'
import { PROGRAM_FOLDERS } from './find-program.ts'
import { hearLines } from './hear-lines.ts'

interface ToolRun {
  /** Path of the program. */
  readonly program: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  /** Every line that it writes, on stdout and stderr; a line is at most 1,000 characters. */
  readonly line?: (text: string) => void
}

const MAX_LINE = 1_000
const LINES_KEPT = 40

/**
 * Runs a program to its end; answers the lines that it wrote last, at most 40. Whatever it started in its own group ends
 * with it, also when the signal aborts. It hears of the death of this process by its closed output.
 */
export async function runTool({ program, args, cwd, env = {}, signal, line }: ToolRun): Promise<readonly string[]> {
  signal.throwIfAborted()
  const child = spawn(program, args, {
    env: { PATH: PROGRAM_FOLDERS.join(':'), LC_ALL: 'C', TZ: 'UTC', ...env },
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const kill = () => {
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // Nobody of its group is left.
    }
  }
  signal.addEventListener('abort', kill, { once: true })
  const last: string[] = []
  const hear = (text: string) => {
    if (last.push(text) > LINES_KEPT) last.shift()
    line?.(text)
  }
  hearLines(child.stderr, MAX_LINE, hear)
  hearLines(child.stdout, MAX_LINE, hear)
  const status = await new Promise<number | string>((resolve) => {
    child.on('error', (error) => resolve(error.message)).on('close', (code, by) => resolve(code ?? by ?? 'unknown'))
  })
  signal.removeEventListener('abort', kill)
  if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
  if (status !== 0) throw failure(program, status, last)
  return last
}

function failure(program: string, status: number | string, said: readonly string[]): CoveError {
  const name = program.split('/').at(-1)
  const text = said.join('\n')
  if (/No space left on device|Disk quota exceeded/.test(text)) {
    return new CoveError('no-space', `${name}: no space is left on the disk`, {}, { fix: 'Free space and call again.' })
  }
  return new CoveError('io-error', `${name} ended with ${status}: ${text.slice(-1_500)}`)
}
