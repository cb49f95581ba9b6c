import { describeExit, type Cove, type ProcessInfo } from '@cove/sdk'
import type { Command } from 'commander'
import { systemClock } from '@cove/domain/system'
import { Interrupts } from '../attach/interrupts.ts'
import { Sink } from '../attach/sink.ts'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import { addOutputOption, outputFormat } from '../options/output-options.ts'
import { writeJson } from '../render/json.ts'
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
  { title: 'COMMAND', cell: ({ argv }) => commandText(argv) },
]

export function define(command: Command, context: Context, run: Run): void {
  command
    .argument('<sandbox>', 'id or name')
    .option('-a, --all', 'those that have ended too')
    .option('-q, --quiet', 'print ids only')
    .option('--watch', 'go on and print every change')
  addOutputOption(command).action((id: string) => run(() => list(command, context, id)))
}

async function list(command: Command, { io, client }: Context, id: string): Promise<number> {
  const { all = false, quiet = false, watch = false } = command.opts<Record<string, boolean | undefined>>()
  const cove = await client()
  const json = outputFormat(command) === 'json'
  if (watch) return follow(cove, id, io, json, quiet)
  const processes = (await cove.sandboxes.at(id).processes.list()).filter(({ exit }) => all || exit === undefined)
  if (json) writeJson(io, quiet ? processes.map((process) => process.id) : processes)
  else if (quiet) io.stdout.write(processes.map((process) => `${process.id}\n`).join(''))
  else io.stdout.write(new Table(COLUMNS).text(processes))
  return STATUS.ok
}

/** A line for each process that is there, that comes and that ends, until Ctrl-C. */
async function follow(cove: Cove, id: string, io: Io, json: boolean, quiet: boolean): Promise<number> {
  using interrupts = new Interrupts(io)
  using sink = new Sink(io.stdout)
  const signal = interrupts.first
  const table = new Table(COLUMNS)
  let shown = new Map<string, boolean>()
  if (!json && !quiet) await sink.write(table.header())
  try {
    for (;;) {
      const processes = await cove.sandboxes.at(id).processes.list({ signal })
      const changed = processes.filter((process) => shown.get(process.id) !== (process.exit === undefined))
      shown = new Map(processes.map((process) => [process.id, process.exit === undefined]))
      for (const process of changed) {
        const line = json ? `${JSON.stringify(process)}\n` : quiet ? `${process.id}\n` : table.row(process)
        await sink.write(line)
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
