import { Option, type Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addOutputOption, outputChoice } from '../options/output-options.ts'
import { count, pairs } from '../options/parse.ts'
import { writeData } from '../render/data.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove fork box                        # one child that goes on from where box is now
  cove fork box -n 4 --label try=1     # four of them
  cove fork box --kind filesystem      # the files only; processes start anew
`

interface Parsed {
  readonly count?: number
  readonly kind?: 'filesystem' | 'memory'
  readonly label?: Record<string, string>
}

export function define(command: Command, context: Context, run: Run): void {
  command
    .addHelpText('after', EXAMPLES)
    .argument('<sandbox>', 'id or name of a running one')
    .option('-n, --count <number>', 'how many children, 1 to 64 (default: 1)', count)
    .addOption(
      new Option('--kind <kind>', 'what they have of it (default: memory where the driver can)').choices([
        'filesystem',
        'memory',
      ]),
    )
    .option('--label <name=value>', 'label them; may be repeated', pairs)
  addOutputOption(command)
    .option('-q, --quiet', 'print the ids only')
    .action((id: string) => run(() => fork(command, context, id)))
}

async function fork(command: Command, { io, client }: Context, id: string): Promise<number> {
  const { count: children, kind, label } = command.opts<Parsed>()
  const cove = await client()
  const forked = await cove.sandboxes.fork(id, {
    ...(children === undefined ? {} : { count: children }),
    ...(kind === undefined ? {} : { kind }),
    ...(label === undefined ? {} : { labels: label }),
  })
  const { format, quiet } = outputChoice(command)
  const ids = forked.sandboxes.map((sandbox) => sandbox.id)
  if (format !== 'table') {
    await writeData(
      io,
      format,
      quiet ? ids : { kind: forked.kind, sandboxes: forked.sandboxes.map(({ info }) => info) },
    )
    return STATUS.ok
  }
  for (const child of ids) io.stdout.write(`${child}\n`)
  if (!quiet && forked.kind === 'filesystem' && kind === undefined) {
    io.stderr.write('note: this driver cannot fork memory; the children have the files, and no processes\n')
  }
  return STATUS.ok
}
