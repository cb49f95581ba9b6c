import { Command, CommanderError } from 'commander'
import { OutputClosed } from './attach/output-closed.ts'
import { COMMANDS } from './commands/registry.ts'
import type { Context } from './context.ts'
import { STATUS } from './exit-status.ts'
import type { Io } from './io.ts'
import { renderError, writeError } from './render/error.ts'

/** Options that may stand before the command's name and take a value. */
const VALUED = new Set(['--url'])

/** Runs one command line and answers with the exit status. Never throws. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  let status: number = STATUS.ok
  const wanted = commandName(argv)
  const program = describeProgram(io, COMMANDS.some(({ name }) => name === wanted) ? wanted : undefined)
  const context: Context = {
    io,
    client: async () => {
      const { connect } = await import('./client.ts')
      return connect(program.opts<{ url?: string }>().url, io.env)
    },
  }
  try {
    for (const entry of COMMANDS) {
      const command = program.command(entry.name).summary(entry.summary).helpGroup(entry.group)
      // Only the command that runs is loaded: the others give their names to the help and to guesses.
      if (entry.name !== wanted) continue
      const run = (work: () => Promise<number>) => async () => {
        status = await work()
      }
      const { define } = await entry.load()
      define(command.description(entry.summary), context, (work) => run(work)())
    }
    await program.parseAsync([...argv], { from: 'user' })
    return status
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? STATUS.ok : STATUS.usage
    if (thrown instanceof OutputClosed) return OutputClosed.status
    return renderError(thrown, io)
  }
}

function describeProgram(io: Io, command: string | undefined): Command {
  return new Command('cove')
    .description('Computers for AI agents: isolated, on any machine, behind one API.')
    .option('--url <url>', 'address of the Cove to talk to (default: COVE_URL, else the local one)')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .exitOverride()
    .configureHelp({ showGlobalOptions: false })
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text) => {
        const { message, fix } = readUsageError(text, command)
        writeError(io, message, fix)
      },
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
}

/** The first word that is a command; for `help x`, x. */
function commandName(argv: readonly string[]): string | undefined {
  const words = argv.filter((word, index) => !word.startsWith('-') && !VALUED.has(argv[index - 1] ?? ''))
  return words[0] === 'help' ? words[1] : words[0]
}

/** "error: unknown command 'x'\n(Did you mean y?)" is a cause and a remedy. */
function readUsageError(text: string, command: string | undefined): { message: string; fix: string } {
  const [first = '', ...rest] = text.trim().split('\n')
  const guess = /\(Did you mean (?:one of )?(.+)\?\)/.exec(rest.join(' '))?.[1]
  const help = command === undefined ? 'cove --help' : `cove ${command} --help`
  const fix = guess === undefined ? `See \`${help}\`.` : `Did you mean ${guess}?`
  return { message: first.replace(/^error: /, ''), fix }
}
