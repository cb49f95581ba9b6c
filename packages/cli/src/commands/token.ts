import { Option, type Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addOutputOption, outputChoice } from '../options/output-options.ts'
import { duration } from '../options/parse.ts'
import { writeData } from '../render/data.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  COVE_API_KEY=$(cove token web -q) cove exec web ls     # opens this sandbox and nothing else
  cove token web --role viewer --expires-in 10m          # may look and change nothing
`

interface Parsed {
  readonly role?: 'viewer' | 'member'
  readonly expiresIn?: number
}

export function define(command: Command, { io, client }: Context, run: Run): void {
  command
    .argument('<sandbox>', 'id or name')
    .addOption(new Option('--role <role>', 'what it may do (default: member)').choices(['viewer', 'member']))
    .option('--expires-in <time>', 'end it after so long (default and most: 24h)', duration)
  addOutputOption(command)
    .option('-q, --quiet', 'print the token only')
    .addHelpText('after', EXAMPLES)
    .action((sandbox: string) =>
      run(async () => {
        const { role, expiresIn } = command.opts<Parsed>()
        const made = await (await client()).sandboxes.at(sandbox).createToken({
          ...(role === undefined ? {} : { role }),
          ...(expiresIn === undefined ? {} : { expiresIn }),
        })
        const { format, quiet } = outputChoice(command)
        if (format !== 'table') await writeData(io, format, quiet ? made.token : made)
        else io.stdout.write(`${made.token}\n`)
        if (format === 'table' && !quiet) {
          io.stderr.write(`It opens ${sandbox} alone, until ${made.expiresAt.toISOString()}, and is not shown again.\n`)
        }
        return STATUS.ok
      }),
    )
}
