import { CommanderError } from 'commander'
import { OutputClosed } from './attach/output-closed.ts'
import { COMMANDS } from './commands/registry.ts'
import type { Context } from './context.ts'
import { STATUS } from './exit-status.ts'
import type { Io } from './io.ts'
import { GLOBAL_FLAGS, whereOf, type Where } from './options/global-options.ts'
import { describeProgram } from './program.ts'
import { renderError, writeError } from './render/error.ts'

/** Runs one command line and answers with the exit status. Never throws. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  let status: number = STATUS.ok
  let where: Where = {}
  const wanted = commandName(argv)
  const context: Context = {
    io,
    client: async () => {
      const { connect } = await import('./client.ts')
      return connect(where, io)
    },
  }
  const known = COMMANDS.some(({ name, hidden }) => name === wanted && hidden !== true)
  try {
    const program = await describeProgram({
      context,
      run: async (work) => {
        status = await work()
      },
      output: {
        writeOut: (text) => io.stdout.write(text),
        writeErr: (text) => io.stderr.write(text),
        outputError: (text) => {
          const { message, fix } = readUsageError(text, known ? wanted : undefined)
          writeError(io, message, fix)
        },
        getOutHasColors: () => false,
        getErrHasColors: () => false,
      },
      // Only the command that runs is loaded.
      load: (name) => name === wanted,
    })
    program.hook('preAction', (_program, action) => {
      where = whereOf(action)
    })
    await program.parseAsync([...argv], { from: 'user' })
    return status
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? STATUS.ok : STATUS.usage
    if (thrown instanceof OutputClosed) return OutputClosed.status
    return renderError(thrown, io)
  }
}

/** The first word that is a command; for `help x`, x. */
function commandName(argv: readonly string[]): string | undefined {
  const words = argv.filter((word, index) => !word.startsWith('-') && !GLOBAL_FLAGS.has(argv[index - 1] ?? ''))
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
