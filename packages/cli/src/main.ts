import { CommanderError, type Command } from 'commander'
import type { Cove } from '@cove/sdk'
import { OutputClosed } from './attach/output-closed.ts'
import { COMMANDS } from './commands/registry.ts'
import type { Context } from './context.ts'
import { STATUS } from './exit-status.ts'
import type { Io } from './io.ts'
import { nearestName } from './nearest.ts'
import { GLOBAL_FLAGS, whereOf, type Where } from './options/global-options.ts'
import { describeProgram } from './program.ts'
import { renderError, writeError } from './render/error.ts'
import { readUsageError } from './render/usage.ts'

/** Runs one command line and answers with the exit status. Never throws. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  let status: number = STATUS.ok
  let where: Where = {}
  let cove: Cove | undefined
  const wanted = commandName(argv)
  const context: Context = {
    io,
    client: async () => {
      const { connect } = await import('./client.ts')
      cove = await connect(where, io)
      return cove
    },
  }
  const known = COMMANDS.some(({ name, hidden }) => name === wanted && hidden !== true)
  if (wanted !== undefined && asksForHelp(argv) && !COMMANDS.some(({ name }) => name === wanted)) {
    const guess = nearestName(
      wanted,
      COMMANDS.filter(({ hidden }) => hidden !== true).map(({ name }) => name),
    )
    writeError(io, `unknown command '${wanted}'`, guess === undefined ? 'See `cove --help`.' : `Did you mean ${guess}?`)
    return STATUS.usage
  }
  try {
    let program: Command | undefined
    program = await describeProgram({
      context,
      run: async (work) => {
        status = await work()
      },
      output: {
        writeOut: (text) => io.stdout.write(text),
        writeErr: (text) => io.stderr.write(text),
        outputError: (text) => {
          const path = known ? commandPath(program, argv) : []
          const { message, fix } = readUsageError(text, path, namesIn(program, path))
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
    const { suggestSandbox } = await import('./suggest-sandbox.ts')
    return renderError(await suggestSandbox(thrown, cove), io)
  }
}

/** The names of the command and of the ones inside it, as far as they were written. */
function commandPath(program: Command | undefined, argv: readonly string[]): string[] {
  const path: string[] = []
  let command = program
  for (const word of argv) {
    const inner = command?.commands.find((one) => one.name() === word)
    if (inner === undefined) continue
    path.push(word)
    command = inner
  }
  return path
}

/** What may stand behind the path. */
function namesIn(program: Command | undefined, path: readonly string[]): readonly string[] {
  let command = program
  for (const word of path) command = command?.commands.find((one) => one.name() === word)
  return (command?.commands ?? []).map((one) => one.name())
}

/** `help x`, `x --help`, `x -h`. */
function asksForHelp(argv: readonly string[]): boolean {
  const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv
  return own.some((word) => word === '--help' || word === '-h') || own.find((word) => !word.startsWith('-')) === 'help'
}

/** The first word that is a command; for `help x`, x. */
function commandName(argv: readonly string[]): string | undefined {
  const words = argv.filter((word, index) => !word.startsWith('-') && !GLOBAL_FLAGS.has(argv[index - 1] ?? ''))
  return words[0] === 'help' ? words[1] : words[0]
}
