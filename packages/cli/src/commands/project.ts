import type { ProjectInfo } from '@cove/sdk'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { forEachName } from '../each.ts'
import { STATUS } from '../exit-status.ts'
import { addListOptions, addOutputOption, outputChoice, outputFormat } from '../options/output-options.ts'
import { writeData } from '../render/data.ts'
import { writeList } from '../render/list.ts'
import type { Column } from '../render/table.ts'
import { ageText } from '../render/text.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove project create research --description 'the research group'
  cove --project research key create --name ana      # a key for it
  cove --project research ls                         # work in it, for whoever may work in all of them
`

const COLUMNS: readonly Column<ProjectInfo>[] = [
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'AGE', minWidth: 3, cell: ({ createdAt }) => ageText(createdAt, Date.now()) },
  { title: 'DESCRIPTION', cut: true, cell: ({ description }) => description || '-' },
]

export function define(command: Command, { io, client }: Context, run: Run): void {
  command.addHelpText('after', EXAMPLES)
  const create = command.command('create').summary('make a project').argument('<name>', 'a to z, 0 to 9 and dash')
  create.option('--description <text>', 'a few words for people')
  addOutputOption(create).action((name: string) =>
    run(async () => {
      const { description } = create.opts<{ description?: string }>()
      const made = await (await client()).projects.create(name, description === undefined ? {} : { description })
      const format = outputFormat(create)
      if (format === 'table') io.stdout.write(`${made.name}\n`)
      else await writeData(io, format, made)
      return STATUS.ok
    }),
  )
  const list = command.command('ls').summary('list projects')
  addListOptions(list, 'print names only').action(() =>
    run(async () => {
      const projects = await (await client()).projects.list()
      await writeList(io, outputChoice(list), projects, { columns: COLUMNS, id: ({ name }) => name })
      return STATUS.ok
    }),
  )
  command
    .command('rm')
    .summary('delete projects and end their keys')
    .argument('<projects...>', 'names; none of them may have live sandboxes')
    .action((names: string[]) =>
      run(async () => {
        const cove = await client()
        return forEachName(names, io, (name) => cove.projects.delete(name))
      }),
    )
}
