import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { forEachName } from '../each.ts'
import { duration } from '../options/parse.ts'
import type { Run } from './registry.ts'

export function define(command: Command, context: Context, run: Run): void {
  command
    .argument('<sandboxes...>', 'ids or names')
    .option('--grace <time>', 'time from TERM to KILL for what runs inside (default: 5s)', duration)
    .action((ids: string[]) =>
      run(async () => {
        const { grace } = command.opts<{ grace?: number }>()
        const cove = await context.client()
        return forEachName(ids, context.io, async (id) => {
          await cove.sandboxes.stop(id, grace === undefined ? {} : { graceMs: grace })
        })
      }),
    )
}
