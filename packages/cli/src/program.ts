import { Command, type OutputConfiguration } from 'commander'
import { COMMANDS, type Run } from './commands/registry.ts'
import type { Context } from './context.ts'
import { acceptGlobalOptions, addGlobalOptions } from './options/global-options.ts'
import { VERSION_LINE } from './version.ts'

interface Parts {
  readonly context: Context
  readonly run: Run
  readonly output?: OutputConfiguration
  /** The names of the commands that are defined wholly; the others give their names to the help and to guesses. */
  readonly load: (name: string) => boolean
}

/** The command line as commander knows it: what is parsed, explained, completed and documented is this one thing. */
export async function describeProgram({ context, run, output = {}, load }: Parts): Promise<Command> {
  const program = new Command('cove')
    .description('Computers for AI agents: isolated, on any machine, behind one API.')
    .helpOption('-h, --help', 'show help')
    .version(VERSION_LINE, '-v, --version', 'show the version')
    .commandsGroup('The command line:')
    .helpCommand('help [command]', 'show help for a command')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .exitOverride()
    .configureHelp({ showGlobalOptions: false })
    .configureOutput(output)
    .addHelpText('after', AFTER)
  addGlobalOptions(program)
  for (const { name, summary, group, hidden = false, local = false, load: read } of COMMANDS) {
    const command = program.command(name, { hidden }).summary(summary).helpGroup(group)
    if (!load(name)) continue
    const { define } = await read()
    define(command.description(sentence(summary)), context, run)
    describeInner(command)
    if (!local) acceptGlobalOptions(command)
  }
  return program
}

/** Subcommands say in their help what the list of them says. */
function describeInner(command: Command): void {
  for (const inner of command.commands) {
    if (inner.description() === '') inner.description(sentence(inner.summary()))
    describeInner(inner)
  }
}

const sentence = (summary: string): string => `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`

const AFTER = `
First steps:
  cove up -d                            start Cove on this machine
  cove run python -c 'print(6*7)'       run something in a sandbox of its own
  cove create --name work               keep one; then: cove shell work
  cove completion bash                  complete names with Tab (zsh, fish, powershell too)
`
