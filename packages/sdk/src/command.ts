import type { MessageInitShape } from '@bufbuild/protobuf'
import type { CommandSchema } from '@cove/api'
import { CoveError, type TerminalSize } from '@cove/domain'
import { durationOf } from './convert/time.ts'

/** How a process is started. */
export interface CommandOptions {
  /** Added to the variables of the sandbox. */
  readonly env?: Readonly<Record<string, string>>
  /** Absolute; default: the user's home. */
  readonly cwd?: string
  /** `root` or `user`, the default. */
  readonly user?: string
  /** Milliseconds until its whole group is ended with TERM, then KILL after `graceMs`. Default: never. */
  readonly timeoutMs?: number
  /** Default 2,000 ms. */
  readonly graceMs?: number
  /** When not the sandbox's current one, the call is refused with `stale-incarnation`. */
  readonly incarnation?: number
  /** When it aborts: ends the call with `cancelled`; `run` then ends its command, `start` lets go of its process. */
  readonly signal?: AbortSignal
}

/** What a command's words may be: a program with its arguments, or code for one of the known runtimes. */
export type Runtime = keyof typeof RUNTIMES

const RUNTIMES = {
  python: { program: 'python3', code: '-c' },
  node: { program: 'node', code: '-e' },
  shell: { program: '/bin/sh', code: '-c' },
} as const

/** The runtimes that `run` takes code for. */
export const RUNTIME_NAMES: readonly Runtime[] = ['python', 'node', 'shell']

/** True for the name of a runtime that `run` takes code for. */
export function isRuntime(text: string): text is Runtime {
  return Object.hasOwn(RUNTIMES, text)
}

/** The program behind a runtime's name: `python3`, `node` or `/bin/sh`. */
export function runtimeProgram(runtime: Runtime): string {
  return RUNTIMES[runtime].program
}

/** The kernel refuses a single argument over 128 KiB. */
const MAX_CODE_BYTES = 128 * 1024 - 1

export function codeArgv(runtime: Runtime, code: string): string[] {
  const bytes = new TextEncoder().encode(code).byteLength
  if (bytes > MAX_CODE_BYTES) {
    throw new CoveError(
      'invalid-argument',
      `the code has ${bytes} bytes, over ${MAX_CODE_BYTES}`,
      { field: 'code' },
      {
        fix: 'Write it into a file of the sandbox with `files.write`, and run that.',
      },
    )
  }
  return [RUNTIMES[runtime].program, RUNTIMES[runtime].code, code]
}

export function commandInit(
  argv: readonly string[],
  options: CommandOptions,
  input: { readonly stdin: boolean; readonly terminal?: TerminalSize },
): MessageInitShape<typeof CommandSchema> {
  return {
    argv: [...argv],
    env: { ...options.env },
    cwd: options.cwd ?? '',
    user: options.user ?? '',
    stdin: input.stdin,
    ...(input.terminal === undefined ? {} : { terminal: input.terminal }),
    ...(options.timeoutMs === undefined ? {} : { timeout: durationOf(options.timeoutMs) }),
    ...(options.graceMs === undefined ? {} : { grace: durationOf(options.graceMs) }),
  }
}
