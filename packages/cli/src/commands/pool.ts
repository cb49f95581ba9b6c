import type { PoolInfo } from '@cove/sdk'
import { Option, type Command } from 'commander'
import type { Context } from '../context.ts'
import { forEachName } from '../each.ts'
import { STATUS } from '../exit-status.ts'
import { addListOptions, addOutputOption, outputChoice, outputFormat } from '../options/output-options.ts'
import { amount, bytes, count } from '../options/parse.ts'
import { writeData } from '../render/data.ts'
import { writeList } from '../render/list.ts'
import type { Column } from '../render/table.ts'
import { UsageError } from '../usage-error.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove pool set py --template python --min 2 --max 8    # two ready, more while many are asked for
  cove pool ls                                          # and how often they are there in time
  cove create --template python                         # gets one of them
`

const COLUMNS: readonly Column<PoolInfo>[] = [
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'TEMPLATE', cell: ({ template }) => template },
  { title: 'DRIVER', cell: ({ driver }) => driver ?? '-' },
  { title: 'READY', cell: ({ ready, making }) => (making === 0 ? String(ready) : `${ready} (+${making})`) },
  { title: 'MIN', cell: ({ min }) => String(min) },
  { title: 'MAX', cell: ({ max }) => String(max) },
  { title: 'HITS', cell: hitText },
  { title: 'PROBLEM', cut: true, cell: ({ problem }) => problem ?? '-' },
]

interface Parsed {
  readonly template?: string
  readonly driver?: string
  readonly min?: number
  readonly max?: number
  readonly network?: 'none' | 'internet'
  readonly limitMemory?: number
  readonly limitCpus?: number
  readonly limitProcesses?: number
  readonly limitDisk?: number
}

export function define(command: Command, context: Context, run: Run): void {
  const { io, client } = context
  command.addHelpText('after', EXAMPLES)
  const set = command.command('set').summary('make a pool, or change it').argument('<pool>', 'a to z, 0 to 9 and dash')
  set
    .option('--template <name>', 'what its machines are made from')
    .option('--driver <name>', 'a certain driver')
    .option('--min <count>', 'kept ready (default: 1)', count)
    .option('--max <count>', 'made ahead at most (default: as many as --min)', count)
    .addOption(new Option('--network <kind>', 'what they may reach (default: none)').choices(['none', 'internet']))
    .option('--limit-memory <size>', 'memory, such as 512MiB', bytes)
    .option('--limit-cpus <number>', 'processors, such as 0.5', amount)
    .option('--limit-processes <count>', 'processes and threads together', count)
    .option('--limit-disk <size>', 'space on its disk, such as 1GiB', bytes)
  addOutputOption(set).action((name: string) => run(() => setPool(set, context, name)))
  const list = command.command('ls').summary('list pools, and how well they serve')
  addListOptions(list, 'print names only').action(() =>
    run(async () => {
      const pools = await (await client()).pools.list()
      await writeList(io, outputChoice(list), pools, { columns: COLUMNS, id: ({ name }) => name })
      return STATUS.ok
    }),
  )
  command
    .command('rm')
    .summary('delete pools; sandboxes that were made of them go on')
    .argument('<pools...>', 'names')
    .action((names: string[]) =>
      run(async () => {
        const cove = await client()
        return forEachName(names, io, (name) => cove.pools.delete(name))
      }),
    )
}

async function setPool(command: Command, { io, client }: Context, name: string): Promise<number> {
  const {
    template,
    driver,
    min = 1,
    max,
    network,
    limitMemory,
    limitCpus,
    limitProcesses,
    limitDisk,
  } = command.opts<Parsed>()
  if (template === undefined) throw new UsageError('no template is named', 'Add --template <name>.')
  const limits = {
    ...(limitMemory === undefined ? {} : { memoryBytes: limitMemory }),
    ...(limitCpus === undefined ? {} : { cpus: limitCpus }),
    ...(limitProcesses === undefined ? {} : { processes: limitProcesses }),
    ...(limitDisk === undefined ? {} : { diskBytes: limitDisk }),
  }
  const pool = await (
    await client()
  ).pools.set(name, {
    template,
    min,
    limits,
    ...(max === undefined ? {} : { max }),
    ...(driver === undefined ? {} : { driver }),
    ...(network === undefined ? {} : { network }),
  })
  const format = outputFormat(command)
  if (format === 'table') io.stdout.write(`${pool.name}\n`)
  else await writeData(io, format, pool)
  return STATUS.ok
}

/** Of those that it could have served. */
function hitText({ asked, served }: PoolInfo): string {
  return asked === 0 ? '-' : `${Math.floor((served / asked) * 100)}% of ${asked}`
}
