import type { Command } from 'commander'
import { Interrupts } from '../attach/interrupts.ts'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addCreateOptions } from '../options/create-options.ts'
import { addOutputOption, outputFormat } from '../options/output-options.ts'
import { pairs } from '../options/parse.ts'
import { makeSandbox } from '../project/make-sandbox.ts'
import { writeData } from '../render/data.ts'
import { sandboxDetails, unenforced } from '../render/sandbox.ts'
import { writeWarning } from '../render/error.ts'
import { warnOfNoWall } from '../render/no-wall.ts'
import type { Run } from './registry.ts'

export function define(command: Command, context: Context, run: Run): void {
  addCreateOptions(command)
    .option('-e, --env <name=value>', 'set a variable for everything inside; may be repeated', pairs)
    .option('--idempotency-key <key>', 'the same key again answers with the same sandbox')
  addOutputOption(command)
    .option('-q, --quiet', 'print the id only')
    .action(() => run(() => create(command, context)))
}

async function create(command: Command, { io, client }: Context): Promise<number> {
  const { quiet, env, idempotencyKey } = command.opts<{
    quiet?: boolean
    env?: Record<string, string>
    idempotencyKey?: string
  }>()
  const cove = await client()
  using interrupts = new Interrupts(io)
  const more = {
    ...(env === undefined ? {} : { env }),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  }
  // Until it is kept, leaving deletes it.
  await using sandbox = await makeSandbox(cove, command, io, { named: true, quiet: quiet === true, interrupts, more })
  if (sandbox === undefined || interrupts.status !== undefined) return interrupts.status ?? STATUS.failure
  sandbox.keep()
  warnOfNoWall(sandbox.info, io)
  const { limits, message } = sandbox.info
  const warnings = [...unenforced(limits), ...(message === undefined ? [] : [message])]
  if (quiet !== true) for (const warning of warnings) writeWarning(io, warning)
  const format = outputFormat(command)
  if (format !== 'table') await writeData(io, format, sandbox.info)
  else io.stdout.write(quiet === true || io.stdout.isTTY !== true ? `${sandbox.id}\n` : sandboxDetails(sandbox.info))
  return STATUS.ok
}
