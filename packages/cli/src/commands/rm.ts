import { CoveError, type Cove } from '@cove/sdk'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { forEachName } from '../each.ts'
import { pairs } from '../options/parse.ts'
import { UsageError } from '../usage-error.ts'
import type { Run } from './registry.ts'

interface Parsed {
  readonly all?: boolean
  readonly force?: boolean
  readonly label?: Record<string, string>
}

export function define(command: Command, context: Context, run: Run): void {
  command
    .argument('[sandboxes...]', 'ids or names')
    .option('-a, --all', 'all of them')
    .option('--label <name=value>', 'all with this label; may be repeated', pairs)
    .option('-f, --force', 'one that is not there is no error')
    .action((ids: string[]) => run(() => remove(command, context, ids)))
}

async function remove(command: Command, { io, client }: Context, ids: readonly string[]): Promise<number> {
  const { all = false, force = false, label } = command.opts<Parsed>()
  const chosen = all || label !== undefined
  if (chosen === ids.length > 0) {
    throw new UsageError('which sandboxes?', 'Name them, or take --all, or --label name=value.')
  }
  const cove = await client()
  const names = chosen ? await matching(cove, label) : ids
  return forEachName(names, io, async (name) => {
    try {
      await cove.sandboxes.delete(name)
    } catch (thrown) {
      if (!(force && thrown instanceof CoveError && thrown.code === 'sandbox-not-found')) throw thrown
    }
  })
}

async function matching(cove: Cove, label: Record<string, string> | undefined): Promise<string[]> {
  const ids: string[] = []
  const filter = label === undefined ? {} : { labels: label }
  for await (const { id } of cove.sandboxes.list({ ...filter, pageSize: 1000 })) ids.push(id)
  return ids
}
