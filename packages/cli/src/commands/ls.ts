import { SANDBOX_STATES } from '@cove/domain'
import type { ListFilter, SandboxInfo, SandboxState } from '@cove/sdk'
import { Option, type Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addOutputOption, outputFormat } from '../options/output-options.ts'
import { pairs } from '../options/parse.ts'
import { writeJson } from '../render/json.ts'
import { sandboxColumns } from '../render/sandbox.ts'
import { Table } from '../render/table.ts'
import { watchSandboxes } from '../watch-sandboxes.ts'
import type { Run } from './registry.ts'

interface Parsed {
  readonly label?: Record<string, string>
  readonly state?: SandboxState[]
  readonly template?: string
  readonly all?: boolean
  readonly quiet?: boolean
  readonly watch?: boolean
}

export function define(command: Command, context: Context, run: Run): void {
  command
    .option('--label <name=value>', 'only with this label; may be repeated', pairs)
    .addOption(new Option('--state <states...>', 'only in these states').choices(SANDBOX_STATES))
    .option('--template <name>', 'only of this template')
    .option('-a, --all', 'ended ones too, with the reason')
    .option('-q, --quiet', 'print ids only')
    .option('--watch', 'go on and print every change')
  addOutputOption(command).action(() => run(() => list(command, context)))
}

async function list(command: Command, { io, client }: Context): Promise<number> {
  const { label, state, template, all, quiet, watch } = command.opts<Parsed>()
  const filter: ListFilter = {
    ...(label === undefined ? {} : { labels: label }),
    ...(state === undefined ? {} : { states: state }),
    ...(template === undefined ? {} : { template }),
    ...(all === true || state?.includes('deleted') === true ? { includeDeleted: true } : {}),
  }
  const cove = await client()
  const json = outputFormat(command) === 'json'
  if (watch === true) {
    const line = quiet === true ? { line: ({ id }: SandboxInfo) => `${id}\n` } : {}
    return watchSandboxes(cove, io, { filter, format: json ? 'json' : 'table', ...line })
  }
  const sandboxes = await cove.sandboxes.list({ ...filter, pageSize: 1000 }).all()
  if (json) writeJson(io, quiet === true ? sandboxes.map(({ id }) => id) : sandboxes)
  else if (quiet === true) io.stdout.write(sandboxes.map(({ id }) => `${id}\n`).join(''))
  else io.stdout.write(new Table(sandboxColumns(Date.now)).text(sandboxes))
  return STATUS.ok
}
