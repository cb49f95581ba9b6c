import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addListOptions, addOutputOption, outputChoice, outputFormat } from '../options/output-options.ts'
import { addProcPlace, openProcs } from '../options/proc-options.ts'
import { PROC_COLUMNS, procDetails } from '../proc/proc-columns.ts'
import { writeData } from '../render/data.ts'
import { writeList } from '../render/list.ts'
import type { Run } from './registry.ts'

/** `ls` and `get`. */
export function define(command: Command, { io }: Context, run: Run): void {
  const list = addProcPlace(command.command('ls').summary('list supervised processes'))
  addListOptions(list, 'print names only').action(() =>
    run(async () => {
      await using procs = await openProcs(list, io)
      const found = await procs.list()
      await writeList(io, outputChoice(list), found, { columns: PROC_COLUMNS, id: ({ name }) => name })
      return STATUS.ok
    }),
  )
  const get = addProcPlace(command.command('get').summary('show everything about one'))
  addOutputOption(get.argument('<proc>', 'name of a supervised process')).action((name: string) =>
    run(async () => {
      await using procs = await openProcs(get, io)
      const info = await procs.get(name)
      const format = outputFormat(get)
      if (format === 'table') io.stdout.write(procDetails(info))
      else await writeData(io, format, info)
      return STATUS.ok
    }),
  )
}
