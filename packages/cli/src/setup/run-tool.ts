import { spawn } from 'node:child_process'
import { CoveError } from '@cove/domain'

export interface ToolResult {
  readonly status: number
  /** Standard output and error as they came, at most the last 256 KiB. */
  readonly output: string
}

const KEPT_BYTES = 256 * 1024

/** Runs a tool of the host to its end, without a shell. Only set-up uses this; machines go through the launcher. */
export async function runTool(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly signal?: AbortSignal } = {},
): Promise<ToolResult> {
  const child = spawn(program, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    env: options.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString('utf8')).slice(-KEPT_BYTES)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  return new Promise((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new CoveError('io-error', `cannot run ${program}: ${cause.message}`, {}, { cause })),
    )
    child.once('close', (code, signal) => resolve({ status: code ?? (signal === null ? 255 : 128), output }))
  })
}
