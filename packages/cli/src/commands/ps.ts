import { describeExit, type Cove, type ProcessInfo } from '@cove/sdk'
import type { Command } from 'commander'
import { systemClock } from '@cove/domain/system'
import { Interrupts } from '../attach/interrupts.ts'
import { Sink } from '../attach/sink.ts'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import { addListOptions, outputChoice, type OutputChoice } from '../options/output-options.ts'
import { streamText } from '../render/data.ts'
import { tableWidth, writeList } from '../render/list.ts'
import { Table, type Column } from '../render/table.ts'
import { ageText, commandText } from '../render/text.ts'
import type { Run } from './registry.ts'

/** The API has no stream of processes; once a second is what a person can follow. */
const LOOK_MS = 1000

const COLUMNS: readonly Column<ProcessInfo>[] = [
  { title: 'ID', minWidth: 16, cell: ({ id }) => id },
  { title: 'PID', minWidth: 5, cell: ({ pid }) => String(pid) },
  { title: 'USER', cell: ({ user }) => user },
  { title: 'STATE', minWidth: 7, cell: stateText },
  { title: 'AGE', minWidth: 3, cell: ({ startedAt }) => ageText(startedAt, Date.now()) },
  { title: 'COMMAND', cut: true, cell: ({ argv }) => commandText(argv) },
]

export function define(command: Command, context: Context, run: Run): void {
  command
    .argument('<sandbox>', 'id or name')
    .option('-a, --all', 'those that have ended too')
    .option('--watch', 'go on and print every change')
  addListOptions(command).action((id: string) => run(() => list(command, context, id)))
}

async function list(command: Command, { io, client }: Context, id: string): Promise<number> {
  const { all = false, watch = false } = command.opts<Record<string, boolean | undefined>>()
  const cove = await client()
  const choice = outputChoice(command)
  if (watch) return follow(cove, id, io, choice)
  const processes = (await cove.sandboxes.at(id).processes.list()).filter(({ exit }) => all || exit === undefined)
  await writeList(io, choice, processes, { columns: COLUMNS, id: (process) => process.id })
  return STATUS.ok
}

/** A line for each process that is there, that comes and that ends, until Ctrl-C. */
async function follow(cove: Cove, id: string, io: Io, choice: OutputChoice): Promise<number> {
  using interrupts = new Interrupts(io)
  using sink = new Sink(io.stdout)
  const signal = interrupts.first
  const table = new Table(COLUMNS, tableWidth(io))
  let shown = new Map<string, boolean>()
  const { format, quiet, headers } = choice
  if (format === 'table' && !quiet && headers) await sink.write(table.header())
  try {
    for (;;) {
      const processes = await cove.sandboxes.at(id).processes.list({ signal })
      const changed = processes.filter((process) => shown.get(process.id) !== (process.exit === undefined))
      shown = new Map(processes.map((process) => [process.id, process.exit === undefined]))
      for (const process of changed) {
        if (quiet) await sink.write(`${process.id}\n`)
        else await sink.write(format === 'table' ? table.row(process) : await streamText(format, process))
      }
      await systemClock.sleep(LOOK_MS, signal)
    }
  } catch (thrown) {
    if (!signal.aborted) throw thrown
  }
  return interrupts.status ?? STATUS.ok
}

function stateText({ exit, timedOut }: ProcessInfo): string {
  if (exit === undefined) return 'running'
  return timedOut ? 'timed out' : describeExit(exit)
}
