import { formatBytes } from '@cove/domain'
import type { StoredImageInfo } from '@cove/sdk'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { forEachName } from '../each.ts'
import { STATUS } from '../exit-status.ts'
import { addListOptions, outputChoice } from '../options/output-options.ts'
import { showPull } from '../render/pull.ts'
import { writeList } from '../render/list.ts'
import type { Column } from '../render/table.ts'
import { ageText } from '../render/text.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove image pull oci:python:3.13-slim     # so that the first sandbox of it need not
  cove image ls                            # what is on the disk, and what keeps it
  cove image prune                         # what nothing needs goes
`

const COLUMNS: readonly Column<StoredImageInfo>[] = [
  { title: 'IMAGE', minWidth: 12, cell: ({ id }) => id.slice('sha256:'.length, 'sha256:'.length + 12) },
  { title: 'SOURCE', cut: true, cell: ({ source, names }) => names[0] ?? source },
  { title: 'SIZE', cell: ({ bytes }) => formatBytes(bytes) },
  { title: 'OWN', cell: ({ ownBytes }) => formatBytes(ownBytes) },
  {
    title: 'KEPT BY',
    cut: true,
    cell: ({ pins, inUse }) => [...(inUse ? ['sandboxes'] : []), ...pins].join(', ') || '-',
  },
  { title: 'USED', cell: ({ usedAt }) => ageText(usedAt, Date.now()) },
]

export function define(command: Command, { io, client }: Context, run: Run): void {
  command.addHelpText('after', EXAMPLES)
  const list = command.command('ls').summary('list images of the node')
  addListOptions(list, 'print digests only').action(() =>
    run(async () => {
      const images = await (await client()).images.list()
      await writeList(io, outputChoice(list), images, { columns: COLUMNS, id: ({ id }) => id })
      return STATUS.ok
    }),
  )
  command
    .command('pull')
    .summary('fetch an image before it is needed')
    .argument('<image>', 'such as oci:alpine:3.20')
    .action((source: string) =>
      run(async () => {
        const cove = await client()
        using progress = showPull(io)
        const id = await cove.images.pull(source, { onProgress: progress.show })
        progress.clear()
        io.stdout.write(`${id}\n`)
        return STATUS.ok
      }),
    )
  command
    .command('rm')
    .summary('remove images that nothing needs')
    .argument('<images...>', 'digests, or their first digits')
    .action((ids: string[]) =>
      run(async () => {
        const cove = await client()
        const known = (await cove.images.list()).map(({ id }) => id)
        return forEachName(ids, io, (id) => cove.images.delete(wholeDigest(known, id)))
      }),
    )
  command
    .command('prune')
    .summary('remove every image that nothing needs')
    .action(() =>
      run(async () => {
        io.stdout.write(`${formatBytes(await (await client()).images.prune())} freed\n`)
        return STATUS.ok
      }),
    )
}

/** As the list shows it; what is not of exactly one goes to the server as it is. */
function wholeDigest(known: readonly string[], text: string): string {
  const wanted = text.startsWith('sha256:') ? text : `sha256:${text}`
  const found = known.filter((id) => id.startsWith(wanted))
  return found.length === 1 && wanted.length >= 'sha256:'.length + 4 ? (found[0] ?? wanted) : wanted
}
