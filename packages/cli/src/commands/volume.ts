import { formatBytes } from '@cove/domain'
import type { VolumeInfo } from '@cove/sdk'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { forEachName } from '../each.ts'
import { STATUS } from '../exit-status.ts'
import { addListOptions, addOutputOption, outputChoice, outputFormat } from '../options/output-options.ts'
import { bytes, pairs } from '../options/parse.ts'
import { writeData } from '../render/data.ts'
import { detailsText } from '../render/details.ts'
import { writeList } from '../render/list.ts'
import type { Column } from '../render/table.ts'
import { ageText } from '../render/text.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove volume create data --size 5GiB
  cove create --volume data:/data               # what is written there outlives the sandbox
  cove run --volume data:/data:ro -- ls /data   # only to be read
  cove volume create monday --from data --read-only
`

const COLUMNS: readonly Column<VolumeInfo>[] = [
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'ID', minWidth: 16, cell: ({ id }) => id },
  { title: 'SIZE', cell: sizeText },
  { title: 'USED', cell: ({ usedBytes }) => formatBytes(usedBytes) },
  { title: 'SANDBOXES', cell: ({ sandboxes }) => String(sandboxes.length) },
  { title: 'AGE', cell: ({ createdAt }) => ageText(createdAt, Date.now()) },
]

interface Parsed {
  readonly size?: number
  readonly from?: string
  readonly readOnly?: boolean
  readonly label?: Record<string, string>
}

export function define(command: Command, { io, client }: Context, run: Run): void {
  command.addHelpText('after', EXAMPLES)
  const create = command.command('create').summary('make a volume').argument('<name>', 'a to z, 0 to 9 and dash')
  create
    .option('--size <size>', 'at most so much, such as 5GiB (default: as much as the disk has)', bytes)
    .option('--from <volume>', 'with what this one holds now')
    .option('--read-only', 'sandboxes can only read it')
    .option('--label <name=value>', 'label it; may be repeated', pairs)
  addOutputOption(create).action((name: string) =>
    run(async () => {
      const { size, from, readOnly, label } = create.opts<Parsed>()
      const made = await (
        await client()
      ).volumes.create(name, {
        ...(size === undefined ? {} : { sizeBytes: size }),
        ...(from === undefined ? {} : { source: from }),
        ...(readOnly === undefined ? {} : { readOnly }),
        ...(label === undefined ? {} : { labels: label }),
      })
      const format = outputFormat(create)
      if (format === 'table') io.stdout.write(`${made.name}\n`)
      else await writeData(io, format, made)
      return STATUS.ok
    }),
  )
  const list = command.command('ls').summary('list volumes')
  addListOptions(list, 'print names only').action(() =>
    run(async () => {
      const volumes = await (await client()).volumes.list()
      await writeList(io, outputChoice(list), volumes, { columns: COLUMNS, id: ({ name }) => name })
      return STATUS.ok
    }),
  )
  const get = command.command('get').summary('show one volume').argument('<volume>', 'id or name')
  addOutputOption(get).action((id: string) =>
    run(async () => {
      const volume = await (await client()).volumes.get(id)
      const format = outputFormat(get)
      if (format === 'table') io.stdout.write(volumeDetails(volume))
      else await writeData(io, format, volume)
      return STATUS.ok
    }),
  )
  command
    .command('rm')
    .summary('delete volumes with what they hold')
    .argument('<volumes...>', 'ids or names; no sandbox may use them')
    .action((ids: string[]) =>
      run(async () => {
        const cove = await client()
        return forEachName(ids, io, (id) => cove.volumes.delete(id))
      }),
    )
}

function sizeText({ sizeBytes }: VolumeInfo): string {
  return sizeBytes === undefined ? '-' : formatBytes(sizeBytes)
}

function volumeDetails(volume: VolumeInfo): string {
  const enforced = volume.sizeBytes === undefined || volume.enforced ? '' : ' (not enforced)'
  return detailsText([
    ['id', volume.id],
    ['name', volume.name],
    ['size', `${sizeText(volume)}${enforced}`],
    ['used', formatBytes(volume.usedBytes)],
    ['read only', volume.readOnly ? 'yes' : 'no'],
    ['source', volume.source],
    ['sandboxes', volume.sandboxes.join(', ') || undefined],
    ['created', volume.createdAt.toISOString()],
  ])
}
