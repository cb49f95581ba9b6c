import { Option, type Command } from 'commander'

/** Which Cove is talked to, and in which of its projects. */
export interface Where {
  readonly url?: string
  readonly context?: string
  readonly project?: string
}

const OPTIONS: readonly (readonly [flags: string, about: string])[] = [
  ['--context <name>', 'the Cove that this context names (see `cove context`)'],
  ['--url <url>', 'address of the Cove to talk to (default: COVE_URL, the current context, the local one)'],
  ['--project <name>', 'work in this project; needs a key that may'],
]

/** Their names, for whoever looks for the command behind them. */
export const GLOBAL_FLAGS: ReadonlySet<string> = new Set(OPTIONS.map(([flags]) => flags.split(' ')[0] ?? ''))

export function addGlobalOptions(program: Command): Command {
  for (const [flags, about] of OPTIONS) program.option(flags, about)
  return program
}

/** The same behind the command's name, where people write them too; the help tells of them once. */
export function acceptGlobalOptions(command: Command): void {
  for (const [flags, about] of OPTIONS) {
    const option = new Option(flags, about).hideHelp()
    if (!command.options.some(({ long }) => long === option.long)) command.addOption(option)
  }
  for (const inner of command.commands) acceptGlobalOptions(inner)
}

export function whereOf(command: Command): Where {
  const { url, context, project } = command.optsWithGlobals<Where>()
  return {
    ...(url === undefined ? {} : { url }),
    ...(context === undefined ? {} : { context }),
    ...(project === undefined ? {} : { project }),
  }
}
