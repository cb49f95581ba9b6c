import { Option, type Command } from 'commander'

export const OUTPUT_FORMATS = ['table', 'json', 'yaml'] as const
export type OutputFormat = (typeof OUTPUT_FORMATS)[number]

/** How a command shows its data, the same for all that show any. */
export interface OutputChoice {
  readonly format: OutputFormat
  /** Ids only. */
  readonly quiet: boolean
  /** The head of a table. */
  readonly headers: boolean
}

export const TABLE: OutputChoice = { format: 'table', quiet: false, headers: true }

export function addOutputOption(command: Command): Command {
  return command
    .optionsGroup('Output:')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(OUTPUT_FORMATS).default('table'))
    .addOption(new Option('--json', 'short for -o json').conflicts('output'))
}

/** For commands whose data is a list of things with ids. */
export function addListOptions(command: Command, ids = 'print ids only'): Command {
  return addOutputOption(command).option('-q, --quiet', ids).option('--no-headers', 'leave the head of the table out')
}

interface Parsed {
  readonly output?: OutputFormat
  readonly json?: boolean
  readonly quiet?: boolean
  readonly headers?: boolean
}

export function outputFormat(command: Command): OutputFormat {
  const { output = 'table', json = false } = command.opts<Parsed>()
  return json ? 'json' : output
}

export function outputChoice(command: Command): OutputChoice {
  const { quiet = false, headers = true } = command.opts<Parsed>()
  return { format: outputFormat(command), quiet, headers }
}
