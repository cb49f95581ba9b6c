import type { SandboxInfo } from '@cove/sdk'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addOutputOption, outputFormat } from '../options/output-options.ts'
import { writeData } from '../render/data.ts'
import { sandboxDetails } from '../render/sandbox.ts'
import { watchSandboxes } from '../watch-sandboxes.ts'
import type { Run } from './registry.ts'

export function define(command: Command, context: Context, run: Run): void {
  command
    .argument('<sandboxes...>', 'ids or names')
    .option('--watch', 'go on and print every change, until they are deleted')
  addOutputOption(command)
    .option('-q, --quiet', 'print the state only')
    .action((ids: string[]) => run(() => show(command, context, ids)))
}

async function show(command: Command, { io, client }: Context, ids: readonly string[]): Promise<number> {
  const cove = await client()
  const infos = []
  for (const id of ids) infos.push((await cove.sandboxes.get(id)).info)
  const { quiet, watch } = command.opts<{ quiet?: boolean; watch?: boolean }>()
  const format = outputFormat(command)
  if (watch === true) {
    const line = quiet === true ? { line: ({ state }: SandboxInfo) => `${state}\n` } : {}
    const filter = { includeDeleted: true }
    return watchSandboxes(cove, io, {
      filter,
      ids: new Set(infos.map(({ id }) => id)),
      format,
      ...line,
    })
  }
  if (quiet === true) io.stdout.write(infos.map(({ state }) => `${state}\n`).join(''))
  else if (format !== 'table') await writeData(io, format, infos.length === 1 ? infos[0] : infos)
  else io.stdout.write(infos.map(sandboxDetails).join('\n'))
  return STATUS.ok
}
