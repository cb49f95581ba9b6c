import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { forEachName } from '../each.ts'
import type { Run } from './registry.ts'

export function define(command: Command, context: Context, run: Run): void {
  command
    .argument('<sandboxes...>', 'ids or names')
    .option('--burn-lifetime', 'let their lifetime go on meanwhile')
    .option('--to-disk', 'save them, so that they use no memory: only with drivers that save memory')
    .action((ids: string[]) =>
      run(async () => {
        const { burnLifetime = false, toDisk = false } = command.opts<{ burnLifetime?: boolean; toDisk?: boolean }>()
        const cove = await context.client()
        return forEachName(ids, context.io, async (id) => {
          await cove.sandboxes.pause(id, { burnLifetime, toDisk })
        })
      }),
    )
}
