import type { Command } from 'commander'
import { Interrupts } from '../attach/interrupts.ts'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addCommandOptions, addTimeoutOption, commandOptions, programArgv } from '../options/command-options.ts'
import { UsageError } from '../usage-error.ts'
import type { Run } from './registry.ts'
import { runIn } from './run.ts'

const EXAMPLES = `
Examples:
  cove exec web python -m http.server 8000
  cove exec -u root web apt list
  cove exec -d web node worker.js      # goes on; see \`cove ps\` and \`cove logs\`

The status is the command's own: 128 + n when signal n ended it, 124 when --timeout did, 127 when there is no such
program.
`

export function define(command: Command, context: Context, run: Run): void {
  addTimeoutOption(addCommandOptions(command))
    .option('-t, --terminal', 'with a terminal instead of pipes')
    .option('--no-stdin', 'do not pass stdin on')
    .option('-d, --detach', 'start it, print its id, and leave it running')
    .argument('<sandbox>', 'id or name')
    .argument('<program>', 'python, node, shell, or a program of the sandbox')
    .argument('[arguments...]', 'its arguments')
    .passThroughOptions()
    .addHelpText('after', EXAMPLES)
    .action((id: string, program: string, words: string[]) =>
      run(() => exec(command, context, id, readProgram(program, words))),
    )
}

/** Behind the sandbox's name everything belongs to the program; a `--` before it may be there. */
function readProgram(program: string, words: readonly string[]): string[] {
  const argv = program === '--' ? [...words] : [program, ...words]
  if (argv.length > 0 && argv[0]?.startsWith('-') === false) return programArgv(argv)
  throw new UsageError(
    argv.length === 0 ? 'there is no program' : `${argv[0]} is no program`,
    "Write options before the sandbox's name: cove exec [options] <sandbox> <program> [arguments...]",
  )
}

async function exec(command: Command, context: Context, id: string, argv: readonly string[]): Promise<number> {
  const { io } = context
  const cove = await context.client()
  const { detach = false, terminal = false } = command.opts<{ detach?: boolean; terminal?: boolean }>()
  const sandbox = cove.sandboxes.at(id)
  if (detach) {
    const process = await sandbox.start(argv, commandOptions(command))
    process.detach()
    io.stdout.write(`${process.id}\n`)
    return STATUS.ok
  }
  using interrupts = new Interrupts(io)
  return runIn(sandbox, argv, command, io, { terminal, interrupts })
}
