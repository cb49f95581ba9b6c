import { Option, type Command } from 'commander'

export type OutputFormat = 'table' | 'json'

export function addOutputOption(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'),
  )
}

export function outputFormat(command: Command): OutputFormat {
  return command.opts<{ output: OutputFormat }>().output
}
