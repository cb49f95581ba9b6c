import { signalNumber } from '@cove/sdk'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { forEachName } from '../each.ts'
import { UsageError } from '../usage-error.ts'
import type { Run } from './registry.ts'

export function define(command: Command, context: Context, run: Run): void {
  command
    .argument('<sandbox>', 'id or name')
    .argument('[processes...]', 'ids of processes, as `cove ps` shows them')
    .option('-s, --signal <name>', 'a name such as INT, or a number', 'TERM')
    .option('-a, --all', 'all that run')
    .action((id: string, processes: string[]) => run(() => kill(command, context, id, processes)))
}

async function kill(command: Command, { io, client }: Context, id: string, named: readonly string[]): Promise<number> {
  const { signal, all = false } = command.opts<{ signal: string; all?: boolean }>()
  if (all === named.length > 0) throw new UsageError('which processes?', 'Name them, or take --all.')
  const number = readSignal(signal)
  const sandbox = (await client()).sandboxes.at(id)
  const processes = all
    ? (await sandbox.processes.list()).filter(({ exit }) => exit === undefined).map((process) => process.id)
    : named
  return forEachName(processes, io, (process) => sandbox.processes.signal(process, number))
}

function readSignal(text: string): number {
  try {
    return signalNumber(text)
  } catch (thrown) {
    throw new UsageError(
      thrown instanceof Error ? thrown.message : text,
      'Use a name such as TERM or INT, or a number.',
    )
  }
}
