import { SANDBOX_STATES } from '@cove/domain'
import type { ListFilter, SandboxInfo, SandboxState } from '@cove/sdk'
import { Option, type Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addListOptions, outputChoice } from '../options/output-options.ts'
import { pairs } from '../options/parse.ts'
import { writeList } from '../render/list.ts'
import { sandboxColumns } from '../render/sandbox.ts'
import { watchSandboxes } from '../watch-sandboxes.ts'
import type { Run } from './registry.ts'

interface Parsed {
  readonly label?: Record<string, string>
  readonly state?: SandboxState[]
  readonly template?: string
  readonly all?: boolean
  readonly watch?: boolean
}

export function define(command: Command, context: Context, run: Run): void {
  command
    .option('--label <name=value>', 'only with this label; may be repeated', pairs)
    .addOption(new Option('--state <states...>', 'only in these states').choices(SANDBOX_STATES))
    .option('--template <name>', 'only of this template')
    .option('-a, --all', 'ended ones too, with the reason')
    .option('--watch', 'go on and print every change')
  addListOptions(command).action(() => run(() => list(command, context)))
}

async function list(command: Command, { io, client }: Context): Promise<number> {
  const { label, state, template, all, watch } = command.opts<Parsed>()
  const filter: ListFilter = {
    ...(label === undefined ? {} : { labels: label }),
    ...(state === undefined ? {} : { states: state }),
    ...(template === undefined ? {} : { template }),
    ...(all === true || state?.includes('deleted') === true ? { includeDeleted: true } : {}),
  }
  const cove = await client()
  const choice = outputChoice(command)
  if (watch === true) {
    const line = choice.quiet ? { line: ({ id }: SandboxInfo) => `${id}\n` } : {}
    return watchSandboxes(cove, io, { filter, ...choice, ...line })
  }
  const sandboxes = await cove.sandboxes.list({ ...filter, pageSize: 1000 }).all()
  await writeList(io, choice, sandboxes, { columns: sandboxColumns(Date.now), id: ({ id }) => id })
  return STATUS.ok
}
