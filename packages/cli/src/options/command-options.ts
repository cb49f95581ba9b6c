import { isRuntime, runtimeProgram } from '@cove/sdk'
import type { Command } from 'commander'
import { duration, pairs } from './parse.ts'

interface Parsed {
  readonly env?: Record<string, string>
  readonly workdir?: string
  readonly user?: string
  readonly timeout?: number
}

/** How a command is run inside, the same for `run`, `exec` and `shell`. */
export function addCommandOptions(command: Command): Command {
  return command
    .optionsGroup('The command:')
    .option('-e, --env <name=value>', 'set a variable; may be repeated', pairs)
    .option('-w, --workdir <path>', "directory to run in (default: the user's home)")
    .option('-u, --user <name>', 'root or user (default: user)')
}

export function commandOptions(command: Command) {
  const { env, workdir, user, timeout } = command.opts<Parsed>()
  return {
    ...(env === undefined ? {} : { env }),
    ...(workdir === undefined ? {} : { cwd: workdir }),
    ...(user === undefined ? {} : { user }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
  }
}

export function addTimeoutOption(command: Command): Command {
  return command.option('--timeout <time>', 'end the command after so long, such as 30s, with status 124', duration)
}

/** `python`, `node` and `shell` are names of runtimes; everything else is a program. */
export function programArgv(words: readonly string[]): string[] {
  const [first = '', ...rest] = words
  return [isRuntime(first) ? runtimeProgram(first) : first, ...rest]
}
