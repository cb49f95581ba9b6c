import { spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { CoveError, isErrorCode } from '@cove/domain'

/** Said on stderr, the last line of it. */
interface Complaint {
  readonly code: string
  readonly message: string
  readonly path?: string
}

/** One run of the program `cove-layers`. */
export interface LayersRun extends AsyncDisposable {
  /** 0 when it did not start. */
  readonly pid: number
  readonly stdin: Writable
  readonly stdout: Readable
  /** Settles when the program has ended and its output is read; the error is what it complained of. */
  readonly ended: Promise<void>
  /** Ends the program now, when it still runs. */
  kill(): void
}

const MAX_COMPLAINT_BYTES = 65_536

/** Starts the program. Its end is awaited by whoever disposes of the run; an aborted `signal` ends it. */
export function startLayersProgram(program: string, args: readonly string[], signal?: AbortSignal): LayersRun {
  signal?.throwIfAborted()
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: {} })
  const kill = () => void child.kill('SIGKILL')
  signal?.addEventListener('abort', kill, { once: true })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-MAX_COMPLAINT_BYTES)
  })
  // A program that has ended says why itself; its broken pipe says less.
  child.stdin.on('error', () => {})
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', (cause) => {
      reject(
        new CoveError(
          'unsupported',
          `the program for layers does not start: ${cause.message}`,
          {},
          {
            fix: 'Run `cove setup`, or install the package again.',
            cause,
          },
        ),
      )
    })
    child.on('close', (status, killedBy) => {
      if (signal?.aborted === true) reject(CoveError.from(signal.reason, 'cancelled'))
      else if (status === 0) resolve()
      else reject(complaintOf(said, status ?? killedBy ?? 'unknown'))
    })
  }).finally(() => signal?.removeEventListener('abort', kill))
  // Whoever uses the run awaits it; one that is only disposed of has nothing more to say.
  ended.catch(() => {})
  return {
    pid: child.pid ?? 0,
    stdin: child.stdin,
    stdout: child.stdout,
    ended,
    kill,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) kill()
      child.stdout.resume()
      await ended.catch(() => {})
    },
  }
}

/** Runs the program to its end without input; answers the line that it printed. */
export async function runLayersProgram(
  program: string,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<string> {
  await using run = startLayersProgram(program, args, signal)
  run.stdin.end()
  const said = await readLine(run.stdout)
  await run.ended
  return said
}

/** What the program prints is one line; more than a few KiB of it are not read. */
export async function readLine(stdout: Readable): Promise<string> {
  let text = ''
  stdout.setEncoding('utf8')
  for await (const chunk of stdout) text = (text + String(chunk)).slice(0, MAX_COMPLAINT_BYTES)
  return text
}

function complaintOf(said: string, ending: number | string): CoveError {
  const line = said.trimEnd().split('\n').at(-1) ?? ''
  const complaint = parseComplaint(line)
  if (complaint === undefined) {
    return new CoveError('io-error', `the program for layers ended with ${ending}: ${line.slice(0, 500)}`)
  }
  const { code, message, path } = complaint
  return new CoveError(isErrorCode(code) ? code : 'io-error', message, path === undefined ? {} : { path })
}

function parseComplaint(line: string): Complaint | undefined {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value !== 'object' || value === null) return undefined
    const { code, message, path } = value as Record<string, unknown>
    if (typeof code !== 'string' || typeof message !== 'string') return undefined
    return typeof path === 'string' ? { code, message, path } : { code, message }
  } catch {
    return undefined
  }
}
