import { formatBytes } from '@cove/domain'
import type { SnapshotInfo } from '@cove/sdk'
import { Option, type Command } from 'commander'
import { importArchive, saveArchive } from '../archive-file.ts'
import type { Context } from '../context.ts'
import { forEachName } from '../each.ts'
import { STATUS } from '../exit-status.ts'
import { addListOptions, addOutputOption, outputChoice, outputFormat } from '../options/output-options.ts'
import { pairs } from '../options/parse.ts'
import { writeData } from '../render/data.ts'
import { detailsText } from '../render/details.ts'
import { writeList } from '../render/list.ts'
import type { Column } from '../render/table.ts'
import { ageText } from '../render/text.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove snapshot create box --name ready         # the files of box, as they are now
  cove create --snapshot ready                  # a sandbox with these files
  cove snapshot create box --kind memory        # its processes too, where the driver can
  cove snapshot export ready -o ready.tar       # as an image
  cove snapshot import ready.tar --name ready   # on another machine
`

const COLUMNS: readonly Column<SnapshotInfo>[] = [
  { title: 'ID', minWidth: 16, cell: ({ id }) => id },
  { title: 'NAME', cell: ({ name }) => name ?? '-' },
  { title: 'KIND', cell: ({ kind }) => kind },
  { title: 'TEMPLATE', cell: ({ template }) => template },
  { title: 'DRIVER', cell: ({ driver }) => driver ?? 'any' },
  { title: 'SIZE', cell: ({ bytes }) => formatBytes(bytes) },
  { title: 'AGE', cell: ({ createdAt }) => ageText(createdAt, Date.now()) },
]

interface ArchiveOptions {
  readonly output?: string
  readonly format?: 'oci' | 'docker'
  readonly name?: string
}

interface Parsed {
  readonly name?: string
  readonly kind?: 'filesystem' | 'memory'
  readonly label?: Record<string, string>
}

export function define(command: Command, { io, client }: Context, run: Run): void {
  command.addHelpText('after', EXAMPLES)
  const create = command.command('create').summary('save a running sandbox').argument('<sandbox>', 'id or name')
  create
    .option('--name <name>', 'name it, to find it again')
    .addOption(new Option('--kind <kind>', 'what is saved (default: filesystem)').choices(['filesystem', 'memory']))
    .option('--label <name=value>', 'label it; may be repeated', pairs)
  addOutputOption(create)
    .option('-q, --quiet', 'print the id only')
    .action((sandbox: string) =>
      run(async () => {
        const { name, kind, label } = create.opts<Parsed>()
        const snapshot = await (
          await client()
        ).snapshots.create(sandbox, {
          ...(name === undefined ? {} : { name }),
          ...(kind === undefined ? {} : { kind }),
          ...(label === undefined ? {} : { labels: label }),
        })
        const { format, quiet } = outputChoice(create)
        if (format !== 'table') await writeData(io, format, quiet ? snapshot.id : snapshot)
        else io.stdout.write(`${snapshot.id}\n`)
        return STATUS.ok
      }),
    )
  const list = command.command('ls').summary('list snapshots').argument('[sandbox]', 'only those of this one')
  addListOptions(list).action((sandbox: string | undefined) =>
    run(async () => {
      const snapshots = await (await client()).snapshots.list(sandbox === undefined ? {} : { sandbox })
      await writeList(io, outputChoice(list), snapshots, { columns: COLUMNS, id: ({ id }) => id })
      return STATUS.ok
    }),
  )
  const get = command.command('get').summary('show one snapshot').argument('<snapshot>', 'id or name')
  addOutputOption(get).action((id: string) =>
    run(async () => {
      const snapshot = await (await client()).snapshots.get(id)
      const format = outputFormat(get)
      if (format === 'table') io.stdout.write(snapshotDetails(snapshot))
      else await writeData(io, format, snapshot)
      return STATUS.ok
    }),
  )
  const save = command
    .command('export')
    .summary('save a snapshot of files as an image')
    .argument('<snapshot>', 'id or name')
  save
    .option('-o, --output <file>', 'where to (default: standard output)')
    .addOption(new Option('--format <format>', 'kind of archive (default: oci)').choices(['oci', 'docker']))
    .action((id: string) =>
      run(async () => {
        const { output, format } = save.opts<ArchiveOptions>()
        await saveArchive(io, await client(), id, {
          ...(output === undefined ? {} : { file: output }),
          ...(format === undefined ? {} : { format }),
        })
        return STATUS.ok
      }),
    )
  const load = command
    .command('import')
    .summary('make a snapshot of an image')
    .argument('<file>', '`-`: standard input')
  load.option('--name <name>', 'name it, to find it again')
  addOutputOption(load)
    .option('-q, --quiet', 'print the id only')
    .action((file: string) =>
      run(async () => {
        const { name } = load.opts<ArchiveOptions>()
        const snapshot = await importArchive(io, await client(), file, name)
        const { format, quiet } = outputChoice(load)
        if (format !== 'table') await writeData(io, format, quiet ? snapshot.id : snapshot)
        else io.stdout.write(`${snapshot.id}\n`)
        return STATUS.ok
      }),
    )
  command
    .command('rm')
    .summary('delete snapshots; sandboxes that were made of them go on')
    .argument('<snapshots...>', 'ids or names')
    .action((ids: string[]) =>
      run(async () => {
        const cove = await client()
        return forEachName(ids, io, (id) => cove.snapshots.delete(id))
      }),
    )
}

function snapshotDetails(snapshot: SnapshotInfo): string {
  return detailsText([
    ['id', snapshot.id],
    ['name', snapshot.name],
    ['kind', snapshot.kind],
    ['sandbox', snapshot.sandbox],
    ['template', snapshot.template],
    ['driver', snapshot.driver],
    ...Object.entries(snapshot.details),
    ['image', snapshot.image],
    ['size', formatBytes(snapshot.bytes)],
    ['created', snapshot.createdAt.toISOString()],
  ])
}
