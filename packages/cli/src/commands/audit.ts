import { CoveError, type AuditEvent, type AuditFilter, type Cove } from '@cove/sdk'
import { systemClock } from '@cove/domain/system'
import type { Command } from 'commander'
import { Interrupts } from '../attach/interrupts.ts'
import { Sink } from '../attach/sink.ts'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import { addListOptions, outputChoice, type OutputChoice } from '../options/output-options.ts'
import { count, moment } from '../options/parse.ts'
import { streamText } from '../render/data.ts'
import { tableWidth, writeList } from '../render/list.ts'
import { Table, type Column } from '../render/table.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove audit --since 1h --failed
  cove audit --target web7... -o yaml
  cove audit -f                            # goes on with what happens now
  cove audit --all-projects                # for the operator
`

const LOOK_MS = 1000
const PAGE = 1000
/** A moment is read a little later again, for events of two servers may come in another order. */
const OVERLAP_MS = 5000

const COLUMNS: readonly Column<AuditEvent>[] = [
  { title: 'TIME', minWidth: 20, cell: ({ at }) => at.toISOString().replace(/\.\d+Z$/, 'Z') },
  { title: 'KEY', minWidth: 8, cell: ({ key }) => key || '-' },
  { title: 'FROM', minWidth: 9, cell: ({ from }) => from || '-' },
  { title: 'ACTION', minWidth: 28, cell: ({ action }) => action },
  { title: 'TARGET', minWidth: 16, cell: ({ target }) => target || '-' },
  { title: 'OUTCOME', cell: ({ outcome }) => outcome },
  { title: 'DETAILS', cut: true, cell: ({ details }) => detailText(details) },
]

interface Parsed {
  readonly since?: Date
  readonly until?: Date
  readonly key?: string
  readonly action?: string
  readonly target?: string
  readonly failed?: boolean
  readonly limit: number
  readonly follow?: boolean
  readonly allProjects?: boolean
}

export function define(command: Command, context: Context, run: Run): void {
  command
    .option('--since <time>', 'not before: how long ago, such as 1h, or a date', moment)
    .option('--until <time>', 'before: how long ago, or a date', moment)
    .option('--key <id>', 'only by this key or token')
    .option('--action <name>', 'only actions that begin so, such as SandboxService/')
    .option('--target <name>', 'only of this sandbox, key or project')
    .option('--failed', 'only what failed or was refused')
    .option('--limit <count>', 'so many at most, the newest', count, 100)
    .option('--all-projects', 'of every project, for the operator')
    .option('-f, --follow', 'go on with what happens from now')
  addListOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(() => run(() => audit(command, context)))
}

async function audit(command: Command, { io, client }: Context): Promise<number> {
  const parsed = command.opts<Parsed>()
  const { since, until, key, action, target, failed = false, limit, follow = false, allProjects = false } = parsed
  const filter: AuditFilter = {
    ...(allProjects ? { project: '*' } : {}),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    ...(key === undefined ? {} : { key }),
    ...(action === undefined ? {} : { action }),
    ...(target === undefined ? {} : { target }),
    failed,
    pageSize: Math.min(limit, PAGE),
  }
  const cove = await client()
  const events = await newest(cove, filter, limit)
  const choice = outputChoice(command)
  if (!follow) {
    await writeList(io, choice, events, { columns: COLUMNS, id: ({ id }) => id })
    return STATUS.ok
  }
  return goOn(cove, filter, events.toReversed(), io, choice)
}

async function newest(cove: Cove, filter: AuditFilter, limit: number): Promise<AuditEvent[]> {
  const events: AuditEvent[] = []
  for await (const event of cove.audit.list(filter)) {
    events.push(event)
    if (events.length >= limit) break
  }
  return events
}

/** Oldest first, as a log is read; asked for once a second, and told once each. */
async function goOn(cove: Cove, filter: AuditFilter, first: readonly AuditEvent[], io: Io, choice: OutputChoice) {
  using interrupts = new Interrupts(io)
  using sink = new Sink(io.stdout)
  const signal = interrupts.first
  const table = new Table(COLUMNS, tableWidth(io))
  const { format, quiet, headers } = choice
  const head = table.header(first)
  if (format === 'table' && !quiet && headers) await sink.write(head)
  let told = new Set<string>()
  let from = new Date()
  try {
    for (let events = first; ;) {
      for (const event of events.filter(({ id }) => !told.has(id))) {
        if (quiet) await sink.write(`${event.id}\n`)
        else await sink.write(format === 'table' ? table.row(event) : await streamText(format, event))
      }
      told = new Set(events.map(({ id }) => id))
      const last = events.at(-1)?.at ?? from
      from = new Date(Math.max(from.getTime(), last.getTime()) - OVERLAP_MS)
      await systemClock.sleep(LOOK_MS, signal)
      events = await again(cove, { ...filter, since: from, pageSize: PAGE, signal }, events)
    }
  } catch (thrown) {
    if (!signal.aborted) throw thrown
  }
  return interrupts.status ?? STATUS.ok
}

/** A Cove that is started anew just now is asked again a second later. */
async function again(cove: Cove, filter: AuditFilter, before: readonly AuditEvent[]): Promise<readonly AuditEvent[]> {
  try {
    return (await newest(cove, filter, PAGE)).toReversed()
  } catch (thrown) {
    const error = CoveError.from(thrown)
    if (error.code === 'daemon-not-running' || error.code === 'connection-lost') return before
    throw error
  }
}

const detailText = (details: AuditEvent['details']): string =>
  Object.entries(details)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
